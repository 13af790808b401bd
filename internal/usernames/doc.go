// Package usernames knows the names of the people who write, or says at once
// that it does not.
//
// A Cache answers for a whole batch of users within one deadline. A name that
// it does not hold is looked up in the background, by a bounded number of
// workers from a bounded queue; a batch that cannot wait for it goes on
// without, and a later one finds it. Nothing here can hold up messages for
// longer than that deadline: while lookups are refused, throttled or failing,
// they pause as a whole and every unknown user is answered at once.
//
// Names live in memory only.
package usernames
