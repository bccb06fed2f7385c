"""Live streams over web sockets."""
