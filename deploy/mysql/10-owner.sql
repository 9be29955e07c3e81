-- Runs once, when MySQL's data folder is new. The image has made the database and its owner; the owner makes the tables,
-- and roles and logins for all other programs (`tianyu init --roles --passwords …`).
GRANT ALL ON tianyu.* TO tianyu_owner WITH GRANT OPTION;
GRANT CREATE USER, ROLE_ADMIN ON *.* TO tianyu_owner;
-- To take back what an earlier version granted.
GRANT SELECT ON mysql.* TO tianyu_owner;
-- To say whose open transaction holds up an upgrade.
GRANT PROCESS ON *.* TO tianyu_owner;
