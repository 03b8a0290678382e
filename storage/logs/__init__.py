"""What applications log: looked at, exported and cleaned up, as their maps say."""
