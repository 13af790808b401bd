package mysql

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	mysqldriver "github.com/go-sql-driver/mysql"

	"sidestream/replicator"
)

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
		return &replicator.Failure{Class: replicator.Data, Reason: reasonTooLarge, Err: err}
	case errors.Is(err, context.Canceled):
		return &replicator.Failure{Class: replicator.Transient, Reason: reasonStopping, Err: err}
	case isConnectionLoss(err):
		return &replicator.Failure{Class: replicator.Transient, Reason: reasonLost, Err: err}
	}
	return &replicator.Failure{Class: replicator.Transient, Reason: reasonUnknown, Unknown: true, Err: err}
}

func classifyServer(err *mysqldriver.MySQLError) *replicator.Failure {
	f := &replicator.Failure{Code: strconv.Itoa(int(err.Number)), Err: err}
	state := string(err.SQLState[:])
	c, known := classOf(err.Number)
	if !known || strings.HasPrefix(state, "45") {
		// Class 45 comes from SIGNAL only, where the number is the trigger
		// author's choice and means nothing.
		c, known = classOfState(state)
	}
	f.Class, f.Reason, f.Slow, f.Hint, f.Unknown = c.class, c.reason, c.slow, c.hint, !known
	if f.Class == replicator.Data && c.reason != reasonTrigger {
		f.Row = rowNumber(err.Message)
	}
	f.Answered = heard(f)
	return f
}

// heard tells whether a failure is what a server said that is there to be used,
// or what was found in it.
func heard(f *replicator.Failure) bool {
	switch f.Reason {
	case reasonLost, reasonNotReady, reasonReadOnly, reasonStopping:
		return false
	}
	return !isConnectionLoss(f.Err)
}

// classifyConnect is classify for a connection attempt.
func classifyConnect(err error, address string) *replicator.Failure {
	f := classify(err)
	if f.Code == "" && f.Reason != reasonStopping {
		f = &replicator.Failure{Class: replicator.Transient, Reason: reasonUnreachable, Hint: "check that the CRM's server runs and crm.addresses is right", Err: err}
		switch {
		case isTLS(err):
			f = &replicator.Failure{Class: replicator.Blocked, Reason: reasonTLS, Hint: hintTLS, Err: err}
		case isAuthentication(err):
			f = &replicator.Failure{Class: replicator.Blocked, Reason: reasonLogin, Slow: true, Hint: "the server wants a way of login that this client refuses: give crm.user another authentication plugin, or use crm.tls", Err: err}
		}
	}
	// No row is involved, so nothing may be concluded about one.
	f.Unknown, f.Answered = false, false
	f.Detail = "connect to " + address
	if f.Reason == reasonUnreachable {
		f.Detail += whyUnreachable(err)
	}
	return f
}

// whyUnreachable says in our own words what came of a connection attempt.
func whyUnreachable(err error) string {
	name, isName := errors.AsType[*net.DNSError](err)
	network, isNetwork := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return ": refused, nothing listens there"
	case isName && name.IsNotFound:
		return ": there is no such host"
	case isName:
		return ": the host's name could not be looked up"
	case errors.Is(err, syscall.ENOENT):
		return ": there is no such socket"
	case errors.Is(err, syscall.EACCES):
		return ": this user may not use the socket"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return ": no way leads to the host"
	case errors.Is(err, context.DeadlineExceeded), isNetwork && network.Timeout():
		return ": no answer in time"
	case isConnectionLoss(err):
		return ": the connection was closed before the login was done"
	}
	return ""
}

func isTLS(err error) bool {
	if errors.Is(err, mysqldriver.ErrNoTLS) {
		return true
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.AlertError](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		return true
	}
	text := err.Error() // seen by nobody
	return strings.Contains(text, "tls:") || strings.Contains(text, "x509:")
}

func isAuthentication(err error) bool {
	return errors.Is(err, mysqldriver.ErrCleartextPassword) || errors.Is(err, mysqldriver.ErrNativePassword) ||
		errors.Is(err, mysqldriver.ErrOldPassword) || errors.Is(err, mysqldriver.ErrOldProtocol) || errors.Is(err, mysqldriver.ErrUnknownPlugin)
}

// isConnectionLoss tells errors after which the connection's state is unknown.
func isConnectionLoss(err error) bool {
	var network net.Error
	// ErrConnDone is what the next statement gets where the loss met one whose
	// failure is not looked at.
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) || errors.Is(err, mysqldriver.ErrInvalidConn) || errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.As(err, &network) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, mysqldriver.ErrMalformPkt) || errors.Is(err, mysqldriver.ErrBusyBuffer) || errors.Is(err, mysqldriver.ErrPktSync) ||
		errors.Is(err, mysqldriver.ErrPktSyncMul)
}

var atRow = regexp.MustCompile(`at row (\d{1,9})$`)

// rowNumber reads the statement's row that a data error names, or 0. Only the
// number leaves the text. The server puts it at the end; what comes before may
// quote the row, and a row may say "at row 7" too. A wrong number costs time,
// never a row: only a batch of one is parked.
func rowNumber(text string) int {
	match := atRow.FindStringSubmatch(text)
	if match == nil {
		return 0
	}
	n, _ := strconv.Atoi(match[1])
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
	case 1213, 1205, 1047, 1290, 1792, 1020, 3101, 8002, 8005, 8022, 9007:
		return true
	}
	return false
}

// ofNoRow judges an error of a statement that holds nothing of a row's content,
// so that no row may be parked for it.
func ofNoRow(err error) error {
	if err == nil {
		return nil
	}
	f := classify(err)
	if f.Class == replicator.Data {
		return &replicator.Failure{
			Class: replicator.Blocked, Reason: "statement", Code: f.Code,
			Detail: "a query of the replicator's own is refused (" + f.Reason + ")", Hint: hintCheck, Err: f.Err,
		}
	}
	f.Unknown = false
	return f
}

// ofState is ofNoRow for a statement on our own tables.
func ofState(err error) error {
	if err == nil {
		return nil
	}
	f := classify(err)
	switch {
	case f.Class == replicator.Data:
		return &replicator.Failure{
			Class: replicator.Blocked, Reason: "state_refused", Code: f.Code,
			Detail: "the state tables refuse a row (" + f.Reason + ")", Hint: "compare them with: replicator schema", Err: f.Err,
		}
	case f.Reason == reasonNoTable:
		f.Detail, f.Hint = "a state table is missing", hintState
	}
	f.Unknown = false
	return f
}

const hintState = "restore the state tables from a backup; where there is none: replicator schema prints how to create them, empty"
