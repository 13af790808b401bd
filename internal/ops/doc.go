// Package ops is what both programs share towards the people who run them: the
// listener with metrics and health, the metrics registry, the logger, the
// version, and the group that starts and stops a program's long-lived parts.
//
// It knows nothing of messages. TLS and basic auth on the listener come from
// a web configuration file, in the format of the Prometheus exporters:
// https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md
package ops
