"""What answers over HTTP: the site without JavaScript, and the desk API."""
