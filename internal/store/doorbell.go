package store

import (
	"log/slog"
	"os"
)

// doorbellMode is also the mode that a new database is created with, see dsn.
const doorbellMode = 0o660

// doorbell is a file beside the database into which one byte is written after a
// COMMIT has returned. No file event of SQLite's own comes after the moment at
// which a commit can be read; this one does. It is a hint: its failure fails
// nothing, and it is never synced. Only the writing goroutine touches it.
type doorbell struct {
	path    string
	logger  *slog.Logger
	file    *os.File
	failing bool
}

func newDoorbell(database string, logger *slog.Logger) *doorbell {
	return &doorbell{path: database + "-doorbell", logger: logger}
}

// hang opens the file, and creates it where it is missing.
func (d *doorbell) hang() {
	if d.file == nil {
		d.say(d.open())
	}
}

// ring writes the byte, into a new file where the old one was deleted or
// replaced.
func (d *doorbell) ring() {
	if !d.inPlace() {
		if err := d.open(); err != nil {
			d.say(err)
			return
		}
	}
	// A write of a new modification time alone would be an event that watchers
	// ignore; written bytes are not.
	_, err := d.file.WriteAt([]byte{'\n'}, 0)
	d.say(err)
}

func (d *doorbell) inPlace() bool {
	if d.file == nil {
		return false
	}
	there, err := os.Stat(d.path)
	if err != nil {
		return false
	}
	open, err := d.file.Stat()
	return err == nil && os.SameFile(there, open)
}

func (d *doorbell) open() error {
	d.close()
	file, err := os.OpenFile(d.path, os.O_WRONLY|os.O_CREATE, doorbellMode)
	if err != nil {
		return err
	}
	d.file = file
	return nil
}

// say logs when ringing starts to fail and when it works again.
func (d *doorbell) say(err error) {
	switch {
	case err != nil && !d.failing:
		d.logger.Warn("doorbell does not ring; the replicator notices commits by polling", "path", d.path, "err", err)
	case err == nil && d.failing:
		d.logger.Info("doorbell rings again", "path", d.path)
	}
	d.failing = err != nil
}

func (d *doorbell) close() {
	if d.file != nil {
		_ = d.file.Close() // nothing in it is worth keeping
		d.file = nil
	}
}
