package containertest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBackup_of_the_file_and_back(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	h, m := running(t, o)
	printed := h.section(t, "BACKUP.md", "Back up the SQLite file")
	if !strings.Contains(printed[0], "ok") {
		t.Errorf("the backup is not whole: %s", printed[0])
	}
	m.post(t, h, 50) // these the restored file will lack
	m.arrived(t)
	blocks := commands(t, "BACKUP.md", "Restore the SQLite file")
	h.block(t, blocks[0])
	h.blocked(t, "source_rewound")
	t.Log(h.block(t, blocks[1]))
	m.post(t, h, 50)
	m.arrived(t)
}

func TestBackup_of_the_CRM_and_back(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	h, m := running(t, o)
	h.section(t, "BACKUP.md", "Back up the CRM")
	m.post(t, h, 50) // these the restored CRM will lack
	m.arrived(t)
	t.Log(h.section(t, "BACKUP.md", "Restore the CRM")[0])
	m.arrived(t)
	m.post(t, h, 20)
	m.arrived(t)
}

func TestMoving_to_another_host(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	old, m := running(t, o)
	m.post(t, old, 30)
	blocks := commands(t, "MOVING.md", "To another host")
	old.block(t, blocks[0])
	host := newHost(t, o)
	// The configuration names places, which are other temporary directories here.
	second := strings.ReplaceAll(strings.ReplaceAll(blocks[1], "old-host:", old.dir), "rsync "+old.dir+"/etc/sidestream/ ", "rsync --exclude config.toml "+old.dir+"/etc/sidestream/ ")
	host.paths = strings.NewReplacer(old.dir, old.dir, " /var/lib/sidestream", " "+host.dir+"/var/lib/sidestream", " /etc/sidestream", " "+host.dir+"/etc/sidestream",
		"chown sidestream:sidestream", "test -f")
	t.Log(host.block(t, second))
	m.post(t, host, 30)
	m.arrived(t)
}

func TestMoving_the_CRM_to_another_server(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	h, m := running(t, o)
	other := newOffice(t)
	write(t, h.dir+"/etc/sidestream/new-crm.cnf", other.settings())
	block := commands(t, "MOVING.md", "The CRM to another server")[0]
	// The table there is empty, as in a database that was just made.
	before, rest, _ := strings.Cut(block, "mariadb-dump")
	h.block(t, before)
	m.post(t, h, 30) // while the replicator is stopped
	addresses := strings.NewReplacer("old-crm:3306", o.server.Addr(), "new-crm:3306", other.server.Addr())
	t.Log(h.block(t, addresses.Replace("mariadb-dump"+rest)))
	m.db = other.open(t)
	m.arrived(t)
}

func TestMoving_to_a_new_file(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	h, m := running(t, o)
	m.post(t, h, 30)
	blocks := commands(t, "MOVING.md", "A new file")
	h.block(t, blocks[0])
	m.post(t, h, 30)
	h.blocked(t, "source_replaced")
	t.Log(h.block(t, blocks[1]))
	m.post(t, h, 30)
	m.arrived(t)
}

func TestUpgrading_step_by_step(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	h, m := running(t, o)
	for _, block := range commands(t, "UPGRADING.md", "Step by step") {
		h.block(t, block)
		m.post(t, h, 20)
		m.arrived(t)
	}
}

func TestUninstall_leaves_the_CRM_as_it_was(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	h, m := running(t, o)
	m.post(t, h, 20)
	for _, heading := range []string{"Stop", "The state tables", "The file and the programs"} {
		h.section(t, "UNINSTALL.md", heading)
	}
	m.arrived(t)
	rows, err := m.db.QueryContext(t.Context(), "SHOW TABLES")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var tables []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		tables = append(tables, name)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"messages"}, tables); d != "" {
		t.Errorf("tables that are left (-want +got):\n%s", d)
	}
	for _, place := range []string{"/var/lib/sidestream", "/etc/sidestream", "/usr/local/bin/writer"} {
		if _, err := os.Stat(filepath.Join(h.dir, place)); !os.IsNotExist(err) {
			t.Errorf("%s is still there: %v", place, err)
		}
	}
}

func TestUninstall_of_one_source_leaves_the_others(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	h, m := running(t, o)
	h.section(t, "UNINSTALL.md", "Stop")
	const cursor = "generation, source_id, start_position, position, anchors, attempt, decision, applied_total"
	const ledger = "generation, first_position, length, first_crm_id, step, has_fallback"
	for table, columns := range map[string]string{"sidestream_cursor": cursor, "sidestream_ledger": ledger} {
		o.server.Exec(t, "INSERT INTO crm."+table+" (source, "+columns+") SELECT 'other', "+columns+" FROM crm."+table+" WHERE source = 'main'")
	}
	h.section(t, "UNINSTALL.md", "One source of several")
	for _, table := range []string{"sidestream_cursor", "sidestream_ledger"} {
		if names := o.server.Text(t, "SELECT GROUP_CONCAT(DISTINCT source) FROM crm."+table); names != "other" {
			t.Errorf("%s holds the sources %q", table, names)
		}
	}
	m.arrived(t)
}
