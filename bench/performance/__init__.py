"""What the programs of this folder share: the page that they write into."""
