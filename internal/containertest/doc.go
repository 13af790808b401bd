// Package containertest runs Sidestream in containers, as it runs in the field:
// images built from the Dockerfile, writer and replicator on one volume with
// read-only roots and no capabilities, MariaDB beside them.
//
// It needs a Docker engine and minutes, so its tests stand behind a build tag:
//
//	make container-test
//
// Where the base images cannot be pulled, SIDESTREAM_BASE_IMAGES may name a
// script that provides them under the names that the Dockerfile and the compose
// file use; it is run first where one of them is missing.
//
// Everything that is started carries the label sidestream.test with the run's
// own value and is removed by it, even where the tests are killed.
package containertest
