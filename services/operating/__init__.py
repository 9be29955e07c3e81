"""For those who run Tianyu: status, logs, graphs, reports, diagnosis, and room on the disk."""
