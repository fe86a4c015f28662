"""What the tests drive and look at: the server, the clients, what is left behind.

Owns no assertion about Lambda; those are in the tests."""
