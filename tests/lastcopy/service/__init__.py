"""The service, over HTTP as its users meet it."""
