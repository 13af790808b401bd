package replicator

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"sidestream/internal/testkit/mariadb"
)

// undecided is an installation whose file and CRM both hold rows.
func undecided(t *testing.T) (installation, mariadb.DB) {
	t.Helper()
	db := mariadb.Shared(t).Database(t)
	db.Exec(t, "INSERT INTO messages (user_id, username, direction, message) VALUES ('1', '1', 'in', 'older')")
	i := install(t, db)
	i.fill(t, "one", "two", "three")
	return i, db
}

func TestCursor_begins_by_a_command_that_can_be_pasted(t *testing.T) {
	i, db := undecided(t)
	_, stderr := i.run(t, 1, "once")
	shown, _ := i.run(t, 0, "cursor", "show")
	_, set := i.run(t, 1, "cursor", "set", "--at", "end")
	_, resume := i.run(t, 1, "cursor", "resume")
	for _, text := range []string{stderr, shown, set, resume} {
		wants(t, text, "replicator cursor init --at PLACE, ")
		if strings.Contains(text, "|") {
			t.Errorf("a shell takes the bar for a pipe:\n%s", text)
		}
	}
	for _, place := range []string{"PLACE,", "PLACE", "-1", "soon", ""} {
		_, stderr := i.run(t, 64, "cursor", "init", "--at="+place)
		wants(t, stderr, "beginning, end or a position")
	}
	if n := db.Int(t, "SELECT COUNT(*) FROM sidestream_cursor"); n != 0 {
		t.Error("a decision was made")
	}
	stdout, _ := i.run(t, 0, "cursor", "init", "--at", "2")
	wants(t, stdout, "behind position 2: up to 1 change of the file are sent", "replicator cursor set --at PLACE")
}

func TestCursor_says_what_a_move_means(t *testing.T) {
	i := install(t, mariadb.Shared(t).Database(t))
	i.fill(t, "one", "two", "three")
	stdout, _ := i.run(t, 0, "cursor", "init", "--at", "beginning")
	wants(t, stdout, "up to 3 changes of the file are sent")
	i.run(t, 0, "once")
	stdout, _ = i.run(t, 0, "cursor", "set", "--at", "end")
	wants(t, stdout, "stays at position 3", "Nothing was changed")
	stdout, _ = i.run(t, 0, "cursor", "set", "--at", "2")
	wants(t, stdout, "back to 2: up to 1 change ", "Nothing was changed")
	stdout, _ = i.run(t, 0, "cursor", "resume", "--dry-run")
	wants(t, stdout, "would do: ", "Nothing was changed.")
}

func TestCheck_cursor(t *testing.T) {
	t.Run("both_sides_hold_rows", func(t *testing.T) {
		i, _ := undecided(t)
		stdout, _ := i.run(t, 1, "check")
		wants(t, line(t, stdout, "fail both cursor"), "cursor_undecided", "-> decide once: replicator cursor init --at PLACE, ")
		i.run(t, 0, "cursor", "init", "--at", "end")
		stdout, _ = i.run(t, 0, "check")
		wants(t, line(t, stdout, "ok both cursor"), "position 3, generation 1")
	})
	t.Run("the_file_is_not_there_yet", func(t *testing.T) {
		stdout, _ := install(t, mariadb.Shared(t).Database(t)).run(t, 0, "check")
		line(t, stdout, "ok both cursor none yet")
	})
	t.Run("the_CRM_is_empty", func(t *testing.T) {
		i := install(t, mariadb.Shared(t).Database(t))
		i.fill(t, "one")
		stdout, _ := i.run(t, 0, "check")
		line(t, stdout, "ok both cursor none yet: replication begins at the beginning")
	})
}

func TestStatus_without_a_replicator_says_that_nobody_has_decided(t *testing.T) {
	i, db := undecided(t)
	for range 2 { // without state tables, and with empty ones
		stdout, _ := i.run(t, 0, "status")
		wants(t, line(t, stdout, "problem"), "cursor_undecided")
		wants(t, line(t, stdout, "next step"), "replicator cursor init --at PLACE, ")
		i.run(t, 0, "cursor", "show")
	}
	i.run(t, 0, "cursor", "init", "--at", "end")
	db.Exec(t, "DROP TABLE sidestream_ledger")
	_, stderr := i.run(t, 1, "status")
	wants(t, stderr, "a state table is missing", "next: restore the state tables")
}

func TestCheck_of_a_server_that_says_nothing(t *testing.T) {
	i := install(t, mariadb.DB{Addr: mute(t), User: "crm", Name: "crm"}, "SIDESTREAM_CRM_CONNECT_TIMEOUT=100ms", "SIDESTREAM_CRM_READ_TIMEOUT=1h")
	stdout, _ := i.run(t, 1, "check")
	wants(t, line(t, stdout, "fail crm connect"), "crm_unreachable", " -> ")
}

func TestCheck_that_is_interrupted_says_so(t *testing.T) {
	i := install(t, mariadb.DB{Addr: mute(t), User: "crm", Name: "crm"}, "SIDESTREAM_CRM_CONNECT_TIMEOUT=5m", "SIDESTREAM_CRM_READ_TIMEOUT=1h")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	reading, writing := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		code := Run(ctx, []string{"check"}, i.environ, writing, io.Discard, "test")
		_ = writing.Close()
		ended <- code
	}()
	// What is known is said although the CRM keeps silent.
	var said strings.Builder
	buffer := make([]byte, 4096)
	for {
		n, err := reading.Read(buffer)
		said.Write(buffer[:n])
		if strings.Contains(said.String(), "source_file") {
			cancel()
		}
		if err != nil {
			break
		}
	}
	if code := <-ended; code != 1 {
		t.Errorf("exit %d", code)
	}
	wants(t, line(t, said.String(), "fail check interrupted"), " -> ")
	if strings.Contains(said.String(), "stopping") {
		t.Errorf("the interruption is taken for a finding:\n%s", said.String())
	}
}

func TestOnce_names_where_the_switch_is(t *testing.T) {
	i := install(t, mariadb.DB{Addr: "127.0.0.1:1", User: "crm", Name: "crm"}, "CRM_MYSQL_ENABLED=false")
	i.fill(t, "one")
	_, stderr := i.run(t, 1, "once")
	wants(t, stderr, "next: set crm.enabled = true (now from: env CRM_MYSQL_ENABLED)")
	for _, args := range [][]string{{"check", "--offline"}, {"status"}} {
		stdout, _ := i.run(t, 0, args...)
		wants(t, stdout, "set crm.enabled = true (now from: env CRM_MYSQL_ENABLED)")
	}
}

func TestCheck_names_the_mistake_that_can_be_mended(t *testing.T) {
	server := mariadb.Shared(t)
	db := server.Database(t)
	user := db.Name + "x"
	server.Exec(t, "CREATE USER "+user+"@'%' IDENTIFIED BY 'secret'")
	t.Cleanup(func() { server.Exec(t, "DROP USER "+user+"@'%'") })
	narrow := db
	narrow.User, narrow.Password = user, "secret"

	install(t, db).run(t, 0, "check") // makes the state tables
	for _, table := range []string{"messages", "sidestream_cursor", "sidestream_ledger", "sidestream_dead_letters", "sidestream_meta", "sidestream_audit"} {
		server.Exec(t, "GRANT SELECT, INSERT, UPDATE, DELETE ON "+db.Name+"."+table+" TO "+user+"@'%'")
	}
	install(t, narrow).run(t, 0, "check")
	stdout, _ := install(t, narrow, "SIDESTREAM_CRM_TABLE=mesages").run(t, 1, "check")
	wants(t, line(t, stdout, "fail crm table"), "table_missing", "mesages", "correct crm.table")
	if strings.Contains(stdout, "privileges") {
		t.Errorf("no GRANT helps against a wrong name:\n%s", stdout)
	}
	misnamed := narrow
	misnamed.Name = "crmm"
	stdout, _ = install(t, misnamed).run(t, 1, "check")
	wants(t, line(t, stdout, "fail crm connect"), "database_refused", "or correct crm.database")

	narrow.Password = "wrong"
	stdout, _ = install(t, narrow).run(t, 1, "check")
	wants(t, line(t, stdout, "fail crm connect"), "login_refused", "as "+user+", with a password")
	narrow.Password = ""
	stdout, _ = install(t, narrow).run(t, 1, "check")
	wants(t, line(t, stdout, "fail crm connect"), "login_refused", "as "+user+", without a password")
	narrow.Addr = "127.0.0.1:1"
	stdout, _ = install(t, narrow).run(t, 1, "check")
	wants(t, line(t, stdout, "fail crm connect"), "refused, nothing listens there")
}

func TestRun_answers_without_log_lines_in_between(t *testing.T) {
	db := mariadb.Shared(t).Database(t)
	quiet, told := install(t, db), install(t, db, "SIDESTREAM_LOG_LEVEL=info")
	for _, i := range []installation{quiet, told} {
		i.fill(t, "one")
	}
	for _, args := range [][]string{{"check"}, {"cursor", "init", "--at", "beginning"}, {"cursor", "show"}, {"status"}, {"dead-letters", "list"}} {
		if _, stderr := quiet.run(t, 0, args...); stderr != "" {
			t.Errorf("%v logs:\n%s", args, stderr)
		}
	}
	_, stderr := told.run(t, 0, "cursor", "show")
	wants(t, stderr, "source opened")
}

func TestRun_wrong_usage_names_the_help_that_helps(t *testing.T) {
	i := install(t, mariadb.DB{Addr: "127.0.0.1:1", User: "crm", Name: "crm"})
	for want, args := range map[string][]string{
		"try: replicator --help\n":              {"--jsom"},
		"try: replicator run --help\n":          {"run", "--jsom"},
		"try: replicator cursor --help\n":       {"cursor", "forget"},
		"try: replicator cursor set --help\n":   {"cursor", "set"},
		"try: replicator dead-letters --help\n": {"dead-letters"},
	} {
		_, stderr := i.run(t, 64, args...)
		wants(t, stderr, want)
	}
}

func TestCheck_tells_a_token_that_is_refused_from_an_API_that_is_away(t *testing.T) {
	away := install(t, mariadb.DB{Addr: "127.0.0.1:1", User: "crm", Name: "crm"}, "SIDESTREAM_INSTAGRAM_ACCESS_TOKEN=token", "SIDESTREAM_INSTAGRAM_BASE_URL=http://127.0.0.1:1/v26.0")
	stdout, _ := away.run(t, 1, "check")
	if l := line(t, stdout, "warn instagram token"); strings.Contains(l, "renew") || !strings.Contains(l, "reaches instagram.base_url") {
		t.Errorf("nobody can say that of the token: %s", l)
	}
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"error":{"message":"x","type":"OAuthException","code":190}}`)
	}))
	defer api.Close()
	refused := install(t, mariadb.DB{Addr: "127.0.0.1:1", User: "crm", Name: "crm"}, "SIDESTREAM_INSTAGRAM_ACCESS_TOKEN=token", "SIDESTREAM_INSTAGRAM_BASE_URL="+api.URL+"/v26.0")
	stdout, _ = refused.run(t, 1, "check")
	wants(t, line(t, stdout, "warn instagram token"), "renew instagram.access_token")
}

func TestStatus_before_the_first_start(t *testing.T) {
	i := install(t, mariadb.Shared(t).Database(t))
	i.fill(t, "one")
	stdout, _ := i.run(t, 0, "status")
	wants(t, line(t, stdout, "next step"), "start the replicator")
	i.run(t, 0, "once")
	if stdout, _ = i.run(t, 0, "status"); strings.Contains(stdout, "next step") {
		t.Error("there is nothing to do")
	}
}

func TestStatus_takes_a_limit_in_days(t *testing.T) {
	i := install(t, mariadb.Shared(t).Database(t))
	i.fill(t, "one")
	i.run(t, 0, "once")
	i.run(t, 0, "status", "--max-lag=1d")
	i.run(t, 64, "status", "--max-lag=soon")
}
