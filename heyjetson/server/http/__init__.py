"""What stands before every route: connections, bodies, keys, headers, the OpenAPI document."""
