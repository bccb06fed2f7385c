"""How good is a trigger word? Streamed over hours, one event counted once: misses against false alarms per hour."""
