package mysql

import (
	"context"
	"crypto/x509"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	mysqldriver "github.com/go-sql-driver/mysql"

	"sidestream/replicator"
)

func serverError(number uint16, state, text string) *mysqldriver.MySQLError {
	e := &mysqldriver.MySQLError{Number: number, Message: text}
	copy(e.SQLState[:], state)
	return e
}

// TestClassify holds every number that the table knows.
func TestClassify(t *testing.T) {
	type entry struct {
		class   replicator.Class
		reason  string
		slow    bool
		numbers []uint16
	}
	entries := []entry{
		{replicator.Transient, "lock_wait", false, []uint16{1205, 3572}},
		{replicator.Transient, "deadlock", false, []uint16{1213, 1614, 3058, 3101, 8002, 8005, 8022, 9007}},
		{replicator.Transient, "row_changed", false, []uint16{1020}},
		{replicator.Transient, "table_changed", false, []uint16{1412, 1615, 8028}},
		{replicator.Transient, "transaction_too_large", false, []uint16{1197, 8004}},
		{replicator.Transient, "crm_not_ready", false, []uint16{1047, 1053, 1077, 1078, 1079, 1080, 3100, 8027, 9001, 9002, 9003, 9004, 9005, 9006}},
		{replicator.Transient, "connection_lost", false, []uint16{1043, 1152, 1154, 1155, 1156, 1157, 1158, 1159, 1160, 1161, 1184, 1927, 2002, 2003, 2006, 2013, 2055, 3169, 4031}},
		{replicator.Transient, "interrupted", false, []uint16{1028, 1317, 1969, 3024}},
		{replicator.Transient, "crm_read_only", false, []uint16{1036, 1207, 1290, 1792, 1836}},
		{replicator.Transient, "crm_disk_full", false, []uint16{1021, 1026, 1030, 1114, 1180, 1181, 3675}},
		{replicator.Transient, "crm_out_of_resources", false, []uint16{1016, 1037, 1038, 1041, 1135, 1206, 1296, 1297, 1461}},
		{replicator.Transient, "too_many_connections", true, []uint16{1040, 1203, 1226}},
		{replicator.Blocked, "login_refused", true, []uint16{1045, 1251, 1524, 1698, 1820, 1862, 2059, 2061, 3118, 3955, 4150, 4151}},
		{replicator.Blocked, "crm_tls", true, []uint16{3159}},
		{replicator.Blocked, "host_blocked", true, []uint16{1129, 1130}},
		{replicator.Blocked, "database_refused", true, []uint16{1044}},
		{replicator.Blocked, "privileges", false, []uint16{1142, 1143, 1227, 1370}},
		{replicator.Blocked, "database_missing", false, []uint16{1046, 1049}},
		{replicator.Blocked, "table_missing", false, []uint16{1051, 1109, 1146}},
		{replicator.Blocked, "target_schema", false, []uint16{
			1054, 1101, 1136, 1305, 1336, 1348, 1356, 1364, 1369, 1393, 1394, 1415, 1422, 1423, 1424, 1442, 1449, 1471, 1526, 1748, 1785,
		}},
		{replicator.Blocked, "table_locked", false, []uint16{1099, 1100, 1192, 1223}},
		{replicator.Blocked, "crm_ids_exhausted", false, []uint16{167, 1467}},
		{replicator.Blocked, "target_corrupt", false, []uint16{126, 127, 144, 145, 1034, 1035, 1194, 1195, 1712, 1813, 1814, 1932}},
		{replicator.Blocked, "statement", false, []uint16{1064, 1149, 1193, 1210, 1231, 1235}},
		{replicator.Data, "too_long", false, []uint16{1406}},
		{replicator.Data, "unsupported_characters", false, []uint16{1267, 1300, 1366, 1977, 3854, 3988}},
		{replicator.Data, "bad_value", false, []uint16{1048, 1263, 1264, 1265, 1292, 1365, 1367, 1411, 1416, 1525, 1690, 3140}},
		{replicator.Data, "duplicate_key", false, []uint16{1062, 1169, 1557, 1586, 1761, 1762}},
		{replicator.Data, "constraint", false, []uint16{1216, 1217, 1451, 1452, 3819, 4025}},
		{replicator.Data, "refused_by_trigger", false, []uint16{1139, 1242, 1644, 1645, 1646}},
		{replicator.Data, "too_large", false, []uint16{1118, 1153, 1162, 1301}},
	}
	var listed []uint16
	for _, e := range entries {
		for _, number := range e.numbers {
			listed = append(listed, number)
			t.Run(fmt.Sprint(number), func(t *testing.T) {
				f := classify(fmt.Errorf("wrapped: %w", serverError(number, "HY000", "the words of a stranger")))
				if f.Class != e.class || f.Reason != e.reason || f.Slow != e.slow || f.Unknown || f.Doubtful {
					t.Errorf("got %+v", f)
				}
				if f.Code != fmt.Sprint(number) {
					t.Errorf("code %q", f.Code)
				}
				if e.class == replicator.Blocked && f.Hint == "" {
					t.Error("blocked without a next step")
				}
			})
		}
	}
	t.Run("nothing_else_is_known", func(t *testing.T) {
		slices.Sort(listed)
		if len(slices.Compact(slices.Clone(listed))) != len(listed) {
			t.Error("a number is listed twice")
		}
		for number := range math.MaxUint16 + 1 {
			_, known := classOf(uint16(number))
			if _, want := slices.BinarySearch(listed, uint16(number)); known != want {
				t.Errorf("%d: known %v, listed %v", number, known, want)
			}
		}
	})
}

func TestClassify_by_sqlstate(t *testing.T) {
	for state, want := range map[string]replicator.Failure{
		"22001": {Class: replicator.Data, Reason: "bad_value"},
		"23000": {Class: replicator.Data, Reason: "bad_value"},
		"45000": {Class: replicator.Data, Reason: "refused_by_trigger"},
		"08S01": {Class: replicator.Transient, Reason: "connection_lost"},
		"40001": {Class: replicator.Transient, Reason: "deadlock"},
		"28000": {Class: replicator.Blocked, Reason: "login_refused", Slow: true},
		"HY000": {Class: replicator.Transient, Reason: "unknown", Unknown: true},
		"":      {Class: replicator.Transient, Reason: "unknown", Unknown: true},
	} {
		t.Run("of_"+state, func(t *testing.T) {
			f := classify(serverError(31001, state, "x"))
			if f.Class != want.Class || f.Reason != want.Reason || f.Slow != want.Slow || f.Unknown != want.Unknown || f.Code != "31001" {
				t.Errorf("got %+v", f)
			}
		})
	}
	t.Run("a_trigger_cannot_pass_itself_off_as_the_server", func(t *testing.T) {
		for _, number := range []uint16{1040, 1045, 1205, 1213, 1364} {
			if f := classify(serverError(number, "45000", "x at row 3")); f.Class != replicator.Data || f.Reason != "refused_by_trigger" || f.Row != 0 {
				t.Errorf("%d: %+v", number, f)
			}
		}
	})
}

func TestClassify_driver_errors(t *testing.T) {
	for name, tt := range map[string]struct {
		err    error
		class  replicator.Class
		reason string
	}{
		"bad_connection":     {driver.ErrBadConn, replicator.Transient, "connection_lost"},
		"closed_connection":  {sql.ErrConnDone, replicator.Transient, "connection_lost"},
		"invalid_connection": {mysqldriver.ErrInvalidConn, replicator.Transient, "connection_lost"},
		"malformed_packet":   {mysqldriver.ErrMalformPkt, replicator.Transient, "connection_lost"},
		"busy_buffer":        {mysqldriver.ErrBusyBuffer, replicator.Transient, "connection_lost"},
		"out_of_sync":        {mysqldriver.ErrPktSync, replicator.Transient, "connection_lost"},
		"out_of_sync_many":   {mysqldriver.ErrPktSyncMul, replicator.Transient, "connection_lost"},
		"end_of_file":        {fmt.Errorf("read: %w", io.EOF), replicator.Transient, "connection_lost"},
		"cut_short":          {io.ErrUnexpectedEOF, replicator.Transient, "connection_lost"},
		"closed":             {net.ErrClosed, replicator.Transient, "connection_lost"},
		"network":            {&net.OpError{Op: "read", Err: errors.New("reset")}, replicator.Transient, "connection_lost"},
		"deadline":           {context.DeadlineExceeded, replicator.Transient, "connection_lost"},
		"stopping":           {context.Canceled, replicator.Transient, "stopping"},
		"packet_too_large":   {mysqldriver.ErrPktTooLarge, replicator.Data, "too_large"},
		"anything_else":      {errors.New("a stranger's words"), replicator.Transient, "unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			f := classify(tt.err)
			if f.Class != tt.class || f.Reason != tt.reason || f.Unknown != (tt.reason == "unknown") {
				t.Errorf("got %+v", f)
			}
			if !errors.Is(f, tt.err) {
				t.Error("the cause is lost")
			}
		})
	}
	t.Run("a_failure_stays_what_it_is", func(t *testing.T) {
		f := &replicator.Failure{Class: replicator.Blocked, Reason: "x"}
		if classify(fmt.Errorf("wrapped: %w", f)) != f {
			t.Error("another failure")
		}
	})
}

func TestClassifyConnect(t *testing.T) {
	for name, tt := range map[string]struct {
		err    error
		class  replicator.Class
		reason string
		slow   bool
		why    string
	}{
		"anything":             {&net.OpError{Op: "dial", Err: errors.New("anything")}, replicator.Transient, "crm_unreachable", false, ": the connection was closed before the login was done"},
		"refused":              {&net.OpError{Op: "dial", Err: &os.SyscallError{Syscall: "connect", Err: syscall.ECONNREFUSED}}, replicator.Transient, "crm_unreachable", false, ": refused, nothing listens there"},
		"no_such_socket":       {&net.OpError{Op: "dial", Err: syscall.ENOENT}, replicator.Transient, "crm_unreachable", false, ": there is no such socket"},
		"no_right_to_a_socket": {&net.OpError{Op: "dial", Err: syscall.EACCES}, replicator.Transient, "crm_unreachable", false, ": this user may not use the socket"},
		"no_route":             {&net.OpError{Op: "dial", Err: syscall.EHOSTUNREACH}, replicator.Transient, "crm_unreachable", false, ": no way leads to the host"},
		"too_late":             {fmt.Errorf("x: %w", context.DeadlineExceeded), replicator.Transient, "crm_unreachable", false, ": no answer in time"},
		"no_such_host":         {&net.DNSError{Err: "no such host", IsNotFound: true}, replicator.Transient, "crm_unreachable", false, ": there is no such host"},
		"no_name_server":       {&net.DNSError{Err: "server misbehaving"}, replicator.Transient, "crm_unreachable", false, ": the host's name could not be looked up"},
		"wrong_password":       {serverError(1045, "28000", "x"), replicator.Blocked, "login_refused", true, ""},
		"an_unknown_number":    {serverError(31001, "HY000", "x"), replicator.Transient, "unknown", false, ""},
		"no_tls":               {mysqldriver.ErrNoTLS, replicator.Blocked, "crm_tls", false, ""},
		"unknown_authority":    {fmt.Errorf("tls: %w", x509.UnknownAuthorityError{}), replicator.Blocked, "crm_tls", false, ""},
		"another_host":         {x509.HostnameError{Certificate: &x509.Certificate{}}, replicator.Blocked, "crm_tls", false, ""},
		"cleartext_password":   {mysqldriver.ErrCleartextPassword, replicator.Blocked, "login_refused", true, ""},
		"an_unknown_plugin":    {mysqldriver.ErrUnknownPlugin, replicator.Blocked, "login_refused", true, ""},
		"stopped_in_the_midst": {context.Canceled, replicator.Transient, "stopping", false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := classifyConnect(tt.err, "db:3306")
			if f.Class != tt.class || f.Reason != tt.reason || f.Slow != tt.slow || f.Unknown {
				t.Errorf("got %+v", f)
			}
			if f.Detail != "connect to db:3306"+tt.why {
				t.Errorf("detail %q", f.Detail)
			}
			if f.Answered {
				t.Error("a server that lets nobody in counts as up")
			}
		})
	}
}

func TestClassify_row(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		row  int
	}{
		"named_at_the_end":          {"Data too long for column 'message' at row 17", 17},
		"named_by_a_row_before_it":  {"Incorrect string value: 'at row 5' for column `a`.`b`.`c` at row 2", 2},
		"spoofed_and_cut_off":       {"Incorrect string value: 'at row 5 and more words, so that the server cuts the te", 0},
		"not_named":                 {"Duplicate entry 'x' for key 'PRIMARY'", 0},
		"larger_than_any_statement": {"x at row 99999999999999999999", 0},
		"the_word_alone":            {"at row ", 0},
	} {
		t.Run(name, func(t *testing.T) {
			if f := classify(serverError(1406, "22001", tt.text)); f.Row != tt.row {
				t.Errorf("row %d, want %d", f.Row, tt.row)
			}
		})
	}
}

func TestClassify_quotes_nothing(t *testing.T) {
	const words = "a stranger's words"
	for number := range 9100 {
		err := serverError(uint16(number), "HY000", words+" at row 1")
		for _, f := range []*replicator.Failure{classify(err), classifyConnect(err, "db:3306"), replicator.AsFailure(ofState(err))} {
			if strings.Contains(f.Error()+f.Detail+f.Hint+f.Reason+f.Code, words) {
				t.Fatalf("%d: %s", number, f)
			}
		}
	}
}

func TestCommitRefused(t *testing.T) {
	var got []uint16
	for number := range math.MaxUint16 + 1 {
		if commitRefused(serverError(uint16(number), "HY000", "")) {
			got = append(got, uint16(number))
		}
	}
	if want := []uint16{1020, 1047, 1205, 1213, 1290, 1792, 3101, 8002, 8005, 8022, 9007}; !slices.Equal(got, want) {
		t.Errorf("sure to be rolled back: %v, want %v", got, want)
	}
	for _, err := range []error{io.EOF, driver.ErrBadConn, mysqldriver.ErrInvalidConn, context.Canceled} {
		if commitRefused(err) {
			t.Errorf("%v is taken for a rollback", err)
		}
	}
}

func TestOfState(t *testing.T) {
	f := replicator.AsFailure(ofState(serverError(1062, "23000", "x")))
	if f.Class != replicator.Blocked || f.Reason != "state_refused" || f.Code != "1062" {
		t.Errorf("a data error of ours: %+v", f)
	}
	if f := replicator.AsFailure(ofState(serverError(31001, "HY000", "x"))); f.Unknown || f.Class != replicator.Transient {
		t.Errorf("an unknown error: %+v", f)
	}
	if err := ofState(nil); err != nil {
		t.Error(err)
	}
}
