"""What ``bench/paths.py`` measures Comity's paths beside."""
