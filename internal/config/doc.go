// Package config reads the one TOML file that both programs share, lays the
// environment and the command line's flags over it, and reports every mistake
// at once with the line that it stands on.
//
// A value comes from the first of these that has it: a flag, the environment,
// the file, the default. In the environment a key is SIDESTREAM_<SECTION>_<KEY>;
// below those names rank the older CRM_MYSQL_*, FACEBOOK_VERIFY_TOKEN and
// INSTAGRAM_* names, which still rank above the file. A variable or flag that is
// empty counts as not set. Relative paths are relative to the working directory,
// not to the file.
//
// The heart is the table in schema.go: one entry per key decides where its
// value goes, its default, its check and its one line of documentation. Decoding,
// the environment, the origins and the reference all read that table.
//
// The package knows no other package of this repository. Its caller translates
// Config into each package's Options, and exits with 78 where Load fails.
package config
