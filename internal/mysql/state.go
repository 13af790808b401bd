package mysql

import (
	"context"
	"errors"
	"fmt"
	"strings"

	mysqldriver "github.com/go-sql-driver/mysql"

	"sidestream/replicator"
)

// The state tables. Their names are the same everywhere, so that anybody who
// looks at the CRM's database knows whose they are.
const (
	tableMeta        = "sidestream_meta"
	tableCursor      = "sidestream_cursor"
	tableLedger      = "sidestream_ledger"
	tableDeadLetters = "sidestream_dead_letters"
	tableAudit       = "sidestream_audit"
)

// stateVersion counts the migrations of the state tables. Within a major
// version they only add, so an older program runs on newer tables of the same
// hundred.
const stateVersion = 100

// stateTables returns name and columns of every state table.
func stateTables() [][2]string {
	return [][2]string{
		{tableMeta, `name VARCHAR(128) NOT NULL, value VARCHAR(255) NOT NULL, PRIMARY KEY (name)`},
		{tableCursor, `source VARCHAR(64) NOT NULL, generation INT NOT NULL, source_id VARCHAR(64) NOT NULL,
  start_position BIGINT NOT NULL, position BIGINT NOT NULL, anchors TEXT NOT NULL, attempt VARCHAR(64) NOT NULL, decision VARCHAR(64) NOT NULL,
  applied_total BIGINT NOT NULL, updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6), PRIMARY KEY (source)`},
		{tableLedger, `source VARCHAR(64) NOT NULL, generation INT NOT NULL, first_position BIGINT NOT NULL, length INT NOT NULL,
  first_crm_id BIGINT NOT NULL, step INT NOT NULL, has_fallback BOOL NOT NULL,
  PRIMARY KEY (source, generation, first_position)`},
		{tableDeadLetters, `source VARCHAR(64) NOT NULL, generation INT NOT NULL, position BIGINT NOT NULL,
  message_id VARCHAR(512) NOT NULL, code VARCHAR(16) NOT NULL, reason VARCHAR(64) NOT NULL,
  first_seen TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6), attempts INT NOT NULL,
  resolved_at TIMESTAMP(6) NULL DEFAULT NULL, PRIMARY KEY (source, generation, position)`},
		{tableAudit, `id BIGINT NOT NULL AUTO_INCREMENT, at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  source VARCHAR(64) NOT NULL, action VARCHAR(64) NOT NULL, detail VARCHAR(1024) NOT NULL, PRIMARY KEY (id)`},
	}
}

// SchemaDDL returns the statements that create the state tables in a database.
func SchemaDDL(database string) []string {
	var statements []string
	for _, t := range stateTables() {
		statements = append(statements, fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s.%s (\n  %s\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin",
			quote(database), quote(t[0]), t[1]))
	}
	return append(statements, fmt.Sprintf("INSERT INTO %s.%s (name, value) SELECT 'state_version', '%d' FROM (SELECT 1 AS one) AS x WHERE NOT EXISTS (SELECT 1 FROM %s.%s WHERE name = 'state_version')",
		quote(database), quote(tableMeta), stateVersion, quote(database), quote(tableMeta)))
}

// DropDDL returns the statements that remove the state tables from a database.
func DropDDL(database string) []string {
	var statements []string
	for _, t := range stateTables() {
		statements = append(statements, "DROP TABLE IF EXISTS "+quote(database)+"."+quote(t[0]))
	}
	return statements
}

// Grants returns the statements that allow a user exactly what running needs.
func Grants(database, table, stateDatabase, user string) []string {
	account := "'" + strings.NewReplacer(`\`, `\\`, "'", "''").Replace(user) + "'@'%'"
	grants := []string{fmt.Sprintf("GRANT SELECT, INSERT, UPDATE, DELETE ON %s.%s TO %s", quote(database), quote(table), account)}
	for _, t := range stateTables() {
		grants = append(grants, fmt.Sprintf("GRANT SELECT, INSERT, UPDATE, DELETE ON %s.%s TO %s", quote(stateDatabase), quote(t[0]), account))
	}
	return grants
}

// ensureState checks the state tables and creates them where they are missing.
func (t *Target) ensureState(ctx context.Context, s *session) error {
	version, err := t.stateVersion(ctx, s)
	if isNumber(err, 1146) {
		if err := t.createState(ctx, s); err != nil {
			return err
		}
		version, err = t.stateVersion(ctx, s)
	}
	if err != nil {
		return classify(err)
	}
	if version/100 > stateVersion/100 {
		return &replicator.Failure{Class: replicator.Blocked, Reason: "state_too_new", Detail: fmt.Sprintf("the state tables have version %d, this program knows %d", version, stateVersion), Hint: "run the newer program"}
	}
	return nil
}

func (t *Target) stateVersion(ctx context.Context, s *session) (int, error) {
	var version int
	err := s.conn.QueryRowContext(ctx, "SELECT COALESCE(MAX(CAST(value AS SIGNED)), 0) FROM "+t.names.meta+" WHERE name = 'state_version'").Scan(&version)
	if err == nil && version == 0 {
		// Created, but the program was killed before the version was written.
		return 0, t.createState(ctx, s)
	}
	return version, err
}

func (t *Target) createState(ctx context.Context, s *session) error {
	for _, statement := range SchemaDDL(t.opt.StateDatabase) {
		if _, err := s.exec(ctx, statement); err != nil {
			if isNumber(err, 1142) || isNumber(err, 1044) || isNumber(err, 1227) {
				return &replicator.Failure{Class: replicator.Blocked, Reason: "state_tables_missing", Code: "1142", Detail: "the state tables are missing and this user may not create them", Hint: "let an administrator run what `replicator schema` prints", Err: err}
			}
			return classify(err)
		}
	}
	t.opt.Logger.Info("created the state tables", "database", t.opt.StateDatabase)
	return nil
}

func isNumber(err error, number uint16) bool {
	var server *mysqldriver.MySQLError
	return errors.As(err, &server) && server.Number == number
}
