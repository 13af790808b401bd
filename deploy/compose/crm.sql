-- A CRM to try Sidestream on: the table as it exists in the field. MariaDB runs
-- this once, when its volume is empty.
CREATE TABLE messages (
  id INT AUTO_INCREMENT PRIMARY KEY,
  user_id VARCHAR(100),
  username VARCHAR(100),
  direction ENUM('in','out'),
  message TEXT,
  created_at TIMESTAMP
) DEFAULT CHARACTER SET utf8mb4;
