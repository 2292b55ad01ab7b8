"""Jobs by DBOS: the queue, the worker that empties it, and executor ids. Nothing else imports DBOS."""
