// Package mariadb starts private MariaDB servers for tests: on 127.0.0.1, in a
// temporary directory, ended with the test or, at the latest, with the test
// binary.
//
// Shared is for tests that need a database of their own on a server that stays
// up; Start is for tests that kill, stop or restart the server, or need their
// own server settings:
//
//	db := mariadb.Shared(t).Database(t)
//	db.Exec(t, "INSERT INTO messages (message) VALUES (?)", "hello")
//
// Where no server is installed the test is skipped, or fails if
// SIDESTREAM_TEST_REQUIRE_SERVER=1 says that there must be one.
// SIDESTREAM_TEST_MYSQL_DSN lets Shared use a server that runs already, MySQL
// or MariaDB: a DSN of go-sql-driver/mysql, over TCP, whose user may create
// databases and users and grant on them.
package mariadb
