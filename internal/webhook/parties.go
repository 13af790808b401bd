package webhook

import "sidestream/mapping"

// parties are the ids of an event; each may be missing.
type parties struct {
	account, sender, recipient string
}

// complete fills in what follows from the rest: the account is one of the two
// parties.
func (p *parties) complete(echo bool) {
	switch {
	case p.account == "" && echo:
		p.account = p.sender
	case p.account == "":
		p.account = p.recipient
	case p.sender == "" && p.recipient != "" && (echo || p.recipient != p.account):
		p.sender = p.account
	case p.recipient == "" && p.sender != "" && !echo && p.sender != p.account:
		p.recipient = p.account
	}
}

// direction tells who sent the message. Where both parties are accounts of
// ours, each of them gets an event of its own, so the account decides, not a
// list of ours.
func (p *parties) direction(echo bool) mapping.Direction {
	if echo || p.sender != "" && p.sender == p.account {
		return mapping.Outbound
	}
	return mapping.Inbound
}

// test recognises the dashboard's test button: it uses account 0, or for apps
// with Facebook login an account and these constants.
func (p *parties) test(mid string) bool {
	return p.account == "0" || mid == "random_mid" && p.sender == "12334" && p.recipient == "23245"
}
