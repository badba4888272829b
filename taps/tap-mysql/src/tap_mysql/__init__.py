"""Singer tap for MySQL and MariaDB."""
