package mysql

import "sidestream/replicator"

// class is what an error number means for the loop.
type class struct {
	class  replicator.Class
	reason string
	slow   bool
	hint   string
}

// Hints shared by several numbers.
const (
	hintLogin      = "check crm.user, crm.password and the GRANTs: replicator schema prints them"
	hintLimit      = "raise the server's connection limit, or end connections that nobody needs"
	hintPrivileges = "grant what `replicator schema` prints"
	hintCheck      = "run: replicator check"
	hintTLS        = "check crm.tls, crm.tls_ca_file and crm.tls_server_name"
)

// classOf is the one table of error numbers. The numbers and their meaning are
// those of the MySQL 8.0 and MariaDB 10.11 error references; 8000 to 9999 are
// TiDB's, and ProxySQL's where it cannot reach a server (9001). A number that is
// not here is judged by its SQLSTATE.
func classOf(number uint16) (class, bool) {
	switch number {
	case 1205, 3572:
		return transient("lock_wait")
	case 1213, 1614, 3058, 3101, 8002, 8005, 8022, 9007:
		// 3101 is Group Replication's certification failure at COMMIT.
		return transient("deadlock")
	case 1020:
		return transient("row_changed")
	case 1412, 1615, 8028:
		return transient("table_changed")
	case 1197, 8004:
		// Smaller batches follow by themselves.
		return transient("transaction_too_large")
	case 1047, 1053, 1077, 1078, 1079, 1080, 3100, 9001, 9002, 9003, 9004, 9005, 9006, 8027:
		return transient(reasonNotReady)
	case 1043, 1152, 1154, 1155, 1156, 1157, 1158, 1159, 1160, 1161, 1184, 1927, 2002, 2003, 2006, 2013, 2055, 3169, 4031:
		return transient(reasonLost)
	case 1028, 1317, 1969, 3024:
		return transient("interrupted")
	case 1036, 1207, 1290, 1792, 1836:
		return class{class: replicator.Transient, reason: reasonReadOnly, hint: hintReadOnly}, true
	case 1021, 1026, 1030, 1114, 1180, 1181, 3675:
		return class{class: replicator.Transient, reason: "crm_disk_full", hint: "make room on the CRM's server, or see its error log"}, true
	case 1016, 1037, 1038, 1041, 1135, 1206, 1296, 1297, 1461:
		return transient("crm_out_of_resources")

	case 1040, 1203, 1226:
		return class{class: replicator.Transient, reason: "too_many_connections", slow: true, hint: hintLimit}, true
	case 1045, 1251, 1524, 1698, 1820, 1862, 2059, 2061, 3118, 3955, 4151:
		return class{class: replicator.Blocked, reason: reasonLogin, slow: true, hint: hintLogin}, true
	case 4150:
		return class{class: replicator.Blocked, reason: reasonLogin, slow: true, hint: "FLUSH PRIVILEGES on the server, then check crm.password"}, true
	case 3159:
		return class{class: replicator.Blocked, reason: reasonTLS, slow: true, hint: hintTLS}, true
	case 1129, 1130:
		return class{class: replicator.Blocked, reason: "host_blocked", slow: true, hint: "FLUSH HOSTS on the server, then check crm.password and the GRANTs' host"}, true
	case 1044:
		return class{class: replicator.Blocked, reason: "database_refused", slow: true, hint: hintPrivileges + ", or correct crm.database"}, true

	case 1142, 1143, 1227, 1370:
		return blocked("privileges", hintPrivileges)
	case 1046, 1049:
		return blocked("database_missing", "create the database, or correct crm.database and crm.state_database")
	case 1051, 1109, 1146:
		return blocked(reasonNoTable, "create the table, or correct crm.table")
	case 1054, 1101, 1136, 1305, 1336, 1348, 1356, 1364, 1369, 1393, 1394, 1415, 1422, 1423, 1424, 1442, 1449, 1471, 1526, 1748, 1785:
		// Every row would be refused: no column, no value for one, no partition,
		// a trigger or view that cannot work.
		return blocked(reasonSchema, hintCheck)
	case 1099, 1100, 1192, 1223:
		return blocked("table_locked", "end the LOCK TABLES or the maintenance that holds the table")
	case 167, 1467: // 167 is what InnoDB says in MariaDB
		return blocked("crm_ids_exhausted", "the CRM's id column is full: widen it to BIGINT")
	case 126, 127, 144, 145, 1034, 1035, 1194, 1195, 1712, 1813, 1814, 1932:
		return blocked("target_corrupt", "repair the CRM's table")
	case 1064, 1149, 1193, 1210, 1231, 1235:
		return blocked("statement", "please report this: the server does not understand a statement")

	case 1406:
		return data("too_long")
	case 1267, 1300, 1366, 1977, 3854, 3988:
		return data("unsupported_characters")
	case 1048, 1263, 1264, 1265, 1292, 1365, 1367, 1411, 1416, 1525, 1690, 3140:
		return data("bad_value")
	case 1062, 1169, 1557, 1586, 1761, 1762:
		return data("duplicate_key")
	case 1216, 1217, 1451, 1452, 3819, 4025:
		return data("constraint")
	case 1139, 1242, 1644, 1645, 1646:
		return data(reasonTrigger)
	case 1118, 1153, 1162, 1301:
		return data(reasonTooLarge)
	}
	return class{class: replicator.Transient, reason: reasonUnknown}, false
}

// classOfState judges a number that the table does not hold by its SQLSTATE
// class (ISO/IEC 9075, and the classes that MySQL adds).
func classOfState(state string) (class, bool) {
	switch state[:2] {
	case "22", "23":
		return data("bad_value")
	case "45":
		return data(reasonTrigger)
	case "08":
		return transient(reasonLost)
	case "40":
		return transient("deadlock")
	case "28":
		return class{class: replicator.Blocked, reason: reasonLogin, slow: true, hint: hintLogin}, true
	}
	return class{class: replicator.Transient, reason: reasonUnknown}, false
}

// Reasons that more than one place gives.
const (
	reasonLost     = "connection_lost"
	reasonLogin    = "login_refused"
	reasonNoTable  = "table_missing"
	reasonNotReady = "crm_not_ready"
	reasonReadOnly = "crm_read_only"
	reasonSchema   = "target_schema"
	reasonTLS      = "crm_tls"
	reasonTooLarge = "too_large"
	reasonTrigger  = "refused_by_trigger"
	reasonUnknown  = "unknown"

	reasonUnreachable = "crm_unreachable"
	reasonStopping    = "stopping"

	hintReadOnly = "wait for the failover, or list the writable server first in crm.addresses"
)

func transient(reason string) (class, bool) {
	return class{class: replicator.Transient, reason: reason}, true
}

func blocked(reason, hint string) (class, bool) {
	return class{class: replicator.Blocked, reason: reason, hint: hint}, true
}

func data(reason string) (class, bool) {
	return class{class: replicator.Data, reason: reason}, true
}
