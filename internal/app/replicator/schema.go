package replicator

import (
	"context"
	"fmt"
	"time"

	"sidestream/internal/mysql"
	"sidestream/internal/ops"
)

type schemaCmd struct {
	Drop bool `help:"Print the statements that remove the state tables instead."`
}

// Run prints the statements; it connects to nothing.
func (cmd schemaCmd) Run(a *app) error {
	c, _, err := a.load()
	if err != nil {
		return err
	}
	if cmd.Drop {
		fmt.Fprintln(a.stdout, "-- Stop the replicator first. Without these tables nobody knows what was applied.")
		for _, statement := range mysql.DropDDL(c.CRM.StateDatabase) {
			fmt.Fprintln(a.stdout, statement+";")
		}
		return nil
	}
	for _, statement := range mysql.SchemaDDL(c.CRM.StateDatabase) {
		fmt.Fprintln(a.stdout, statement+";")
	}
	fmt.Fprintln(a.stdout, "-- What the replicator's user needs; narrow the host as you like.")
	for _, statement := range mysql.Grants(c.CRM.Database, c.CRM.Table, c.CRM.StateDatabase, c.CRM.User) {
		fmt.Fprintln(a.stdout, statement+";")
	}
	return nil
}

type healthcheckCmd struct {
	Timeout time.Duration `default:"3s" help:"How long to wait."`
}

// Run asks the running replicator whether it is alive.
func (cmd healthcheckCmd) Run(a *app) error {
	c, _, err := a.load()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(a.ctx, cmd.Timeout)
	defer cancel()
	return ops.Healthcheck(ctx, c.Replicator.Listen, cmd.Timeout)
}
