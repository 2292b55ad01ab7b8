"""What fulfils the ports: model clients, storage, tracking, files, jobs, logs. One package a vendor library."""
