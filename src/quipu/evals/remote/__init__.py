"""Programs judged on another machine: what is sent, the client, the server."""
