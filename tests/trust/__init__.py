"""Two trust services and a post office between them that can be told to lie."""
