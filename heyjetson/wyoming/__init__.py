"""`heyjetson wyoming`: speech to text and wake words for Home Assistant. Installs as `heyjetson[wyoming]`."""
