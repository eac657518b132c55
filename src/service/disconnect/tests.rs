//! Requests under way, and what NASes answer.
