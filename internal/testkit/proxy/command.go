package proxy

import "fmt"

// The commands that the proxy has to tell apart.
// See https://dev.mysql.com/doc/dev/mysql-server/latest/my__command_8h.html.
const (
	comQuit             = 0x01
	comInitDB           = 0x02
	comQuery            = 0x03
	comFieldList        = 0x04
	comCreateDB         = 0x05
	comDropDB           = 0x06
	comRefresh          = 0x07
	comShutdown         = 0x08
	comStatistics       = 0x09
	comProcessInfo      = 0x0a
	comProcessKill      = 0x0c
	comDebug            = 0x0d
	comPing             = 0x0e
	comChangeUser       = 0x11
	comStmtPrepare      = 0x16
	comStmtExecute      = 0x17
	comStmtSendLongData = 0x18
	comStmtClose        = 0x19
	comStmtReset        = 0x1a
	comSetOption        = 0x1b
	comStmtFetch        = 0x1c
	comResetConnection  = 0x1f
)

// commandName returns the protocol's name of a command.
func commandName(command byte) string {
	switch command {
	case comQuit:
		return "COM_QUIT"
	case comInitDB:
		return "COM_INIT_DB"
	case comQuery:
		return "COM_QUERY"
	case comFieldList:
		return "COM_FIELD_LIST"
	case comStatistics:
		return "COM_STATISTICS"
	case comProcessInfo:
		return "COM_PROCESS_INFO"
	case comPing:
		return "COM_PING"
	case comChangeUser:
		return "COM_CHANGE_USER"
	case comStmtPrepare:
		return "COM_STMT_PREPARE"
	case comStmtExecute:
		return "COM_STMT_EXECUTE"
	case comStmtSendLongData:
		return "COM_STMT_SEND_LONG_DATA"
	case comStmtClose:
		return "COM_STMT_CLOSE"
	case comStmtReset:
		return "COM_STMT_RESET"
	case comSetOption:
		return "COM_SET_OPTION"
	case comStmtFetch:
		return "COM_STMT_FETCH"
	case comResetConnection:
		return "COM_RESET_CONNECTION"
	default:
		return fmt.Sprintf("COM_%#02x", command)
	}
}

// hasText tells whether the command's payload is a statement.
func hasText(command byte) bool { return command == comQuery || command == comStmtPrepare }

// shape is how the end of a command's response is found.
type shape int

const (
	// shapeUnknown ends when the client sends its next command.
	shapeUnknown shape = iota
	shapeNone
	shapeOnePacket
	shapeResults
	shapePrepared
)

func shapeOf(command byte) shape {
	switch command {
	case comQuit, comStmtSendLongData, comStmtClose:
		return shapeNone
	case comQuery, comProcessInfo, comStmtExecute:
		return shapeResults
	case comStmtPrepare:
		return shapePrepared
	case comInitDB, comCreateDB, comDropDB, comRefresh, comShutdown, comStatistics, comProcessKill,
		comDebug, comPing, comStmtReset, comSetOption, comResetConnection:
		return shapeOnePacket
	default:
		return shapeUnknown
	}
}
