"""What ``bench/events.py`` runs beside itself."""
