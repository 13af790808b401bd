// Package mysql is the replicator's target: a CRM table on any server that
// speaks the MySQL protocol, with Sidestream's state tables beside it.
//
// Cursor, records, ledger and dead letters move in one InnoDB transaction that
// begins with a compare-and-set on the cursor. The CRM's table is never
// altered, needs no unique key, and is found again through the ledger.
//
// The SQL stays in what MySQL 5.7 and later, MariaDB, TiDB and Vitess share.
// Strangers' text enters statements as hexadecimal literals only. Server error
// texts quote row content, so they are translated and never passed on.
package mysql
