//! Ways to log in, as pure state machines; the wire carries their messages in `Login`, `Challenge`, `Answer` and `Welcome`.

pub mod scram;
