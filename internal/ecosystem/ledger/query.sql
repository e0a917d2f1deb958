-- name: OpenAccount :one
INSERT INTO accounts (owner, balance, note) VALUES (?, ?, ?) RETURNING *;

-- name: GetAccount :one
SELECT * FROM accounts WHERE id = ?;

-- name: ListAccounts :many
SELECT id, owner, balance FROM accounts WHERE closed = ? AND owner IN (sqlc.slice('owners')) ORDER BY owner;

-- name: Withdraw :execrows
UPDATE accounts SET balance = balance - @amount WHERE id = @id AND balance >= @amount;

-- name: Deposit :exec
UPDATE accounts SET balance = balance + ? WHERE id = ?;

-- name: AddTransfer :execlastid
INSERT INTO transfers (sender, receiver, amount, made, proof) VALUES (?, ?, ?, ?, ?);

-- name: LastTransfer :one
SELECT max(made) AS made, count(*) AS count, coalesce(sum(amount), 0) AS total FROM transfers WHERE sender = ?;

-- name: Transfers :many
SELECT transfers.*, accounts.owner FROM transfers JOIN accounts ON accounts.id = transfers.receiver ORDER BY transfers.id;

-- name: Total :one
SELECT CAST(sum(balance) AS INTEGER) FROM accounts;
