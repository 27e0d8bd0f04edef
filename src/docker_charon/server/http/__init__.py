"""HTTP as the server speaks it: connections, requests and answers, read and written strictly."""
