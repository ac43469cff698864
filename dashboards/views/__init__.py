"""One file a page; its stem is the page's address."""
