"""`heyjetson serve`: a bundle as a web site and an API, on the device, offline. Installs as `heyjetson[server]`."""
