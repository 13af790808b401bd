package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"sidestream/replicator"
)

// session is one connection with the settings that applying relies on.
type session struct {
	db      *sql.DB
	conn    *sql.Conn
	address string
	// maxPacket is the server's max_allowed_packet in bytes.
	maxPacket int
}

// connect tries the addresses in order and returns the first that can be
// written. The failure of the last one that answered is the result.
func connect(ctx context.Context, o Options) (*session, error) {
	var failure error
	for _, address := range o.Addresses {
		s, err := dial(ctx, o, address)
		if err == nil {
			return s, nil
		}
		// A server that answered says more than one that did not.
		if f := replicator.AsFailure(err); failure == nil || f.Reason != reasonUnreachable {
			failure = err
		}
	}
	return nil, failure
}

func dial(ctx context.Context, o Options, address string) (*session, error) {
	cfg := driver.NewConfig()
	cfg.Net, cfg.Addr = "tcp", address
	if strings.HasPrefix(address, "/") {
		cfg.Net = "unix"
	}
	cfg.User, cfg.DBName = o.User, o.Database
	if o.Password != nil {
		password, err := o.Password()
		if err != nil {
			return nil, &replicator.Failure{Class: replicator.Blocked, Reason: "crm_secret", Detail: "crm.password cannot be read", Hint: "check crm.password_file", Err: err}
		}
		cfg.Passwd = password
	}
	cfg.Timeout, cfg.ReadTimeout, cfg.WriteTimeout = o.ConnectTimeout, o.ReadTimeout, o.WriteTimeout
	cfg.InterpolateParams = true
	cfg.Collation = "utf8mb4_general_ci" // known to every server; comparisons here are binary or numeric
	cfg.MaxAllowedPacket = 0             // ask the server
	cfg.Logger = silent{}                // its lines would bypass ours
	if err := o.TLS.apply(cfg); err != nil {
		return nil, &replicator.Failure{Class: replicator.Blocked, Reason: reasonTLS, Detail: "TLS settings cannot be used", Hint: "check crm.tls and crm.tls_ca_file", Err: err}
	}
	connector, err := driver.NewConnector(cfg)
	if err != nil {
		return nil, &replicator.Failure{Class: replicator.Blocked, Reason: "crm_settings", Detail: "the driver refuses the connection settings", Hint: "run: replicator check", Err: err}
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(1)
	conn, err := open(ctx, db, o.ConnectTimeout)
	if err != nil {
		_ = db.Close()
		f := classifyConnect(err, address)
		if f.Reason == reasonLogin {
			f.Detail += withPassword(cfg)
		}
		return nil, f
	}
	s := &session{db: db, conn: conn, address: address}
	if err := s.setup(ctx, o.ReadTimeout); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// withPassword says as whom the login was tried: a password that nobody set is
// the likeliest mistake.
func withPassword(cfg *driver.Config) string {
	if cfg.Passwd == "" {
		return " as " + cfg.User + ", without a password"
	}
	return " as " + cfg.User + ", with a password"
}

// open makes the connection. The driver's own limit ends with the dialing: a
// server that accepts and then says nothing would be waited for as long as for
// an answer, at each of the driver's attempts.
func open(ctx context.Context, db *sql.DB, timeout time.Duration) (*sql.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return db.Conn(ctx)
}

// silent drops the driver's own log lines: every error reaches us as a value.
type silent struct{}

func (silent) Print(...any) {}

// lockWait is how many seconds a statement waits for a lock: below the read
// timeout, so that the server's answer comes before we give up on it.
func lockWait(readTimeout time.Duration) int {
	return max(1, min(5, int(readTimeout/(2*time.Second))))
}

// Settings of every session. A dead client must not hold the cursor's row lock
// for hours (wait_timeout), and no statement may outlive our read timeout
// (innodb_lock_wait_timeout), or an abandoned transaction could commit later.
func sessionSettings() []string {
	return []string{
		"SET SESSION sql_mode='STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION', " +
			"time_zone='+00:00', wait_timeout=30",
		"SET NAMES utf8mb4",
		"SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
		"SET SESSION autocommit=1",
	}
}

func (s *session) setup(ctx context.Context, readTimeout time.Duration) error {
	for _, statement := range sessionSettings() {
		if _, err := s.exec(ctx, statement); err != nil {
			return classify(err)
		}
	}
	// The first is for rows, the second for a LOCK TABLES or ALTER TABLE of the
	// CRM's people, where servers wait for a day and longer. Not every engine has
	// them per session (the embedded one does not).
	for _, setting := range []string{"innodb_lock_wait_timeout", "lock_wait_timeout"} {
		if _, err := s.exec(ctx, fmt.Sprintf("SET SESSION %s=%d", setting, lockWait(readTimeout))); err != nil && isConnectionLoss(err) {
			return classify(err)
		}
	}
	var packet, readOnly string
	if err := s.conn.QueryRowContext(ctx, "SELECT @@max_allowed_packet, @@read_only").Scan(&packet, &readOnly); err != nil {
		return classify(err)
	}
	s.maxPacket, _ = strconv.Atoi(packet)
	if s.maxPacket <= 0 {
		s.maxPacket = 1 << 20
	}
	if isOn(readOnly) || isOn(s.variable(ctx, "SELECT @@innodb_read_only")) {
		return &replicator.Failure{Class: replicator.Transient, Reason: reasonReadOnly, Detail: s.address + " is read-only", Hint: hintReadOnly}
	}
	// A node outside its cluster answers, and a server without one is not ready either.
	if isOn(s.variable(ctx, "SELECT @@wsrep_on")) && !isOn(s.status(ctx, "wsrep_ready")) {
		return &replicator.Failure{Class: replicator.Transient, Reason: reasonNotReady, Detail: s.address + " is not part of its cluster", Hint: "bring the node back, or list another one in crm.addresses"}
	}
	return nil
}

func isOn(value string) bool { return value == "1" || strings.EqualFold(value, "on") }

// variable asks for what not every server knows; it is empty there.
func (s *session) variable(ctx context.Context, query string, args ...any) string {
	var value string
	if err := s.conn.QueryRowContext(ctx, query, args...).Scan(&value); err != nil {
		return ""
	}
	return value
}

// status reads a status variable; it is empty where the server has none.
func (s *session) status(ctx context.Context, name string) string {
	var found, value string
	if err := s.conn.QueryRowContext(ctx, "SHOW STATUS LIKE '"+name+"'").Scan(&found, &value); err != nil {
		return ""
	}
	return value
}

func (s *session) exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return s.conn.ExecContext(ctx, query, args...)
}

// execCount runs a statement and returns how many rows it changed.
func (s *session) execCount(ctx context.Context, query string, args ...any) (int64, error) {
	result, err := s.conn.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

func (s *session) close() {
	// The server rolls back whatever the connection left open.
	_ = s.conn.Close()
	_ = s.db.Close()
}
