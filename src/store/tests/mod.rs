//! The store from outside: the life of a visit, its confirmation, and that no tenant sees another.

mod cards;
mod cut_off;
mod life;
mod tenants;
