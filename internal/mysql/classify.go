package mysql

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"

	mysqldriver "github.com/go-sql-driver/mysql"

	"sidestream/replicator"
)

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
	hintLimit      = "raise the server's connection limit or lower crm.max_connections"
	hintPrivileges = "grant what `replicator schema` prints"
	hintTable      = "run: replicator check"
)

// classes is the one table of MySQL error numbers. The numbers and their
// meaning are those of the MySQL 8.0 and MariaDB 10.11 error references; the
// 8000s and 9000s are TiDB's.
func classes() map[uint16]class {
	table := map[uint16]class{}
	put := func(c class, numbers ...uint16) {
		for _, n := range numbers {
			table[n] = c
		}
	}
	transient := func(reason string, numbers ...uint16) {
		put(class{class: replicator.Transient, reason: reason}, numbers...)
	}
	data := func(reason string, numbers ...uint16) {
		put(class{class: replicator.Data, reason: reason}, numbers...)
	}
	blocked := func(reason, hint string, numbers ...uint16) {
		put(class{class: replicator.Blocked, reason: reason, hint: hint}, numbers...)
	}

	transient("lock_wait", 1205, 3572)
	transient("deadlock", 1213, 1614, 8002, 8022, 9007)
	transient(replicator.ReasonMoved, 1020)
	transient("crm_not_ready", 1047, 1053, 1077, 1079, 1080, 9001, 9002, 9003, 9004, 9005, 9006, 8027)
	transient("connection_lost", 1152, 1154, 1156, 1157, 1158, 1159, 1160, 1161, 1184, 1927, 2002, 2003, 2006, 2013, 2055, 3169, 4031)
	transient("interrupted", 1317, 1028, 1969, 3024)
	transient("crm_read_only", 1290, 1792, 1836, 3100)
	transient("crm_disk_full", 1021, 1026, 1030, 1114, 1180, 1296, 3675)
	transient("crm_out_of_resources", 1016, 1037, 1038, 1041, 1135, 1206)
	transient("table_changed", 1412, 1615, 8028)
	put(class{class: replicator.Transient, reason: "too_many_connections", slow: true, hint: hintLimit}, 1040, 1203, 1226)

	put(class{class: replicator.Blocked, reason: "login_refused", slow: true, hint: hintLogin}, 1045, 1698, 1862, 3118, 1524, 1251, 2059, 2061, 3159)
	put(class{class: replicator.Blocked, reason: "host_blocked", slow: true, hint: "FLUSH HOSTS on the server, then check crm.password"}, 1129, 1130)
	put(class{class: replicator.Blocked, reason: "database_refused", slow: true, hint: hintPrivileges}, 1044)
	blocked("privileges", hintPrivileges, 1142, 1143, 1227, 1370, 1410)
	blocked("database_missing", "create the database or correct crm.database", 1049)
	blocked("table_missing", "create the table or correct crm.table", 1146, 1109, 1051)
	blocked("target_schema", hintTable, 1054, 1136, 1364, 1101, 1442, 1356, 1348, 1393, 1423, 1471, 1305, 1336, 1415, 1449, 1036)
	blocked("table_locked", "end the LOCK TABLES or the maintenance that holds the table", 1099, 1100, 1223, 1192)
	blocked("crm_ids_exhausted", "the CRM's id column is full: widen it to BIGINT", 1467)
	blocked("target_corrupt", "repair the CRM's table", 126, 127, 144, 145, 1034, 1035, 1194, 1195, 1712, 1813, 1814, 1932)
	blocked("statement", "please report this: the server does not understand a statement", 1064, 1149, 1193, 1231, 1235)

	data("too_long", 1406, 22001)
	data("unsupported_characters", 1366, 1300, 1267, 1977, 3854)
	data("bad_value", 1265, 1264, 1292, 1411, 1525, 1690, 1367, 1416, 1048, 1263, 1210, 3140)
	data("duplicate_key", 1062, 1169, 1557, 1586, 1761, 1762)
	data("constraint", 1216, 1217, 1451, 1452, 3819, 4025)
	data("refused_by_trigger", 1644, 1645, 1646)
	data("too_large", 1153, 1162, 1301, 1118, 1139)
	return table
}

// classify turns an error of a statement into a Failure. Errors that are
// failures already pass unchanged.
func classify(err error) *replicator.Failure {
	if failure, ok := errors.AsType[*replicator.Failure](err); ok {
		return failure
	}
	var server *mysqldriver.MySQLError
	switch {
	case errors.As(err, &server):
		return classifyServer(server)
	case errors.Is(err, mysqldriver.ErrPktTooLarge):
		return &replicator.Failure{Class: replicator.Data, Reason: "too_large", Err: err}
	case errors.Is(err, context.Canceled):
		return &replicator.Failure{Class: replicator.Transient, Reason: "stopping", Err: err}
	case isConnectionLoss(err):
		return &replicator.Failure{Class: replicator.Transient, Reason: "connection_lost", Err: err}
	}
	return &replicator.Failure{Class: replicator.Transient, Reason: "unknown", Unknown: true, Err: err}
}

func classifyServer(err *mysqldriver.MySQLError) *replicator.Failure {
	f := &replicator.Failure{Code: strconv.Itoa(int(err.Number)), Err: err}
	c, known := classes()[err.Number]
	if !known {
		c, known = classOfState(string(err.SQLState[:]))
	}
	f.Class, f.Reason, f.Slow, f.Hint, f.Unknown = c.class, c.reason, c.slow, c.hint, !known
	if f.Class == replicator.Data {
		f.Row = rowNumber(err.Message)
	}
	return f
}

// classOfState judges a number that the table does not hold by its SQLSTATE
// class (ISO/IEC 9075).
func classOfState(state string) (class, bool) {
	switch state[:2] {
	case "22", "23":
		return class{class: replicator.Data, reason: "bad_value"}, true
	case "45":
		return class{class: replicator.Data, reason: "refused_by_trigger"}, true
	case "08":
		return class{class: replicator.Transient, reason: "connection_lost"}, true
	case "40":
		return class{class: replicator.Transient, reason: "deadlock"}, true
	case "28":
		return class{class: replicator.Blocked, reason: "login_refused", slow: true, hint: hintLogin}, true
	}
	return class{class: replicator.Transient, reason: "unknown"}, false
}

// classifyConnect is classify for a connection attempt.
func classifyConnect(err error, address string) *replicator.Failure {
	f := classify(err)
	if f.Code == "" && f.Reason != "stopping" {
		f = &replicator.Failure{Class: replicator.Transient, Reason: "crm_unreachable", Hint: "check that the CRM's server runs and crm.addresses is right", Err: err}
		if strings.Contains(err.Error(), "TLS") || strings.Contains(err.Error(), "tls:") || strings.Contains(err.Error(), "x509:") {
			f = &replicator.Failure{Class: replicator.Blocked, Reason: "crm_tls", Hint: "check crm.tls, crm.tls_ca_file and crm.tls_server_name", Err: err}
		}
	}
	f.Detail = "connect to " + address
	return f
}

// isConnectionLoss tells errors after which the connection's state is unknown.
func isConnectionLoss(err error) bool {
	var network net.Error
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, mysqldriver.ErrInvalidConn) || errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.As(err, &network) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, mysqldriver.ErrMalformPkt) || errors.Is(err, mysqldriver.ErrBusyBuffer) || errors.Is(err, mysqldriver.ErrPktSync)
}

var atRow = regexp.MustCompile(`at row (\d+)`)

// rowNumber reads the statement's row that a data error names, or 0. Only the
// number leaves the text; the last match counts, since what comes before may
// quote the row.
func rowNumber(text string) int {
	all := atRow.FindAllStringSubmatch(text, -1)
	if len(all) == 0 {
		return 0
	}
	n, _ := strconv.Atoi(all[len(all)-1][1])
	return n
}

// commitRefused lists the answers to COMMIT that are sure to mean "rolled
// back". Every other failure of COMMIT is doubtful: it may have happened.
func commitRefused(err error) bool {
	var server *mysqldriver.MySQLError
	if !errors.As(err, &server) {
		return false
	}
	switch server.Number {
	case 1213, 1205, 1047, 1290, 1792, 1020:
		return true
	}
	return false
}
