"""What happens before Flask: requests are received, limited and buffered, and workers get their roles."""
