"""What can be asked of a server, a file a resource: functions that make calls, which a client sends."""
