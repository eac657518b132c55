# SQLite's single file, less what the registry does not need and its own switches cannot leave out, as the grammar is fixed in
# that file: 70 kB of the compressed package. Such SQL is an error here. Registries of all versions are read and brought up to
# date as before: nothing that the tables, the steps between their versions or the damage control use is touched.
1i\
#define SQLITE_OMIT_WINDOWFUNC 1\
#define SQLITE_OMIT_CTE 1\
#define SQLITE_OMIT_VIEW 1\
#define SQLITE_OMIT_ANALYZE 1\
#define SQLITE_OMIT_REINDEX 1\
#define SQLITE_OMIT_VIRTUALTABLE 1\
#define SQLITE_OMIT_SCHEMA_PRAGMAS 1\
#define SQLITE_OMIT_COMPOUND_SELECT 1\
#define SQLITE_OMIT_GENERATED_COLUMNS 1\
#define SQLITE_OMIT_OR_OPTIMIZATION 1\
#define SQLITE_OMIT_LIKE_OPTIMIZATION 1\
#define SQLITE_OMIT_BETWEEN_OPTIMIZATION 1\
#define SQLITE_OMIT_XFER_OPT 1\
#define SQLITE_OMIT_HEX_INTEGER 1\
#define SQLITE_OMIT_CASE_SENSITIVE_LIKE_PRAGMA 1\
#define SQLITE_OMIT_LOCALTIME 1\
#define LEFT_OUT sqlite3ErrorMsg(pParse, "SQL that is left out")

# The rules of the grammar stay; what they would do does not.
/^static YYACTIONTYPE yy_reduce(/,/^static void yy_parse_failed(/ {
	s/^.*->pWinDefn = .*$/LEFT_OUT;/
	s/pRhs->pPrior = pLhs;/LEFT_OUT;/
	s/yy[a-z]*[][0-9a-z.-]* = sqlite3\(Window\(Alloc\|Assemble\)\|Trigger\(Update\|Insert\|Delete\|Select\)Step\|CteNew\|WithAdd\)([^;]*;/LEFT_OUT;/
	s/sqlite3\(WindowChain\|WithPush\|CreateView\|BeginTrigger\|FinishTrigger\|DropTrigger\|Detach\|Reindex\|Analyze\)([^;]*;/LEFT_OUT;/
	s/sqlite3\(AlterDropColumn\|AlterRenameColumn\|AlterDropConstraint\|AlterSetNotNull\|AlterAddConstraint\)([^;]*;/LEFT_OUT;/
	s/sqlite3Vtab\(FinishParse\|BeginParse\|ArgInit\|ArgExtend\)([^;]*;/LEFT_OUT;/
	s/sqlite3WindowListDelete([^;]*;/;/
}
/^static void yy_destructor(/,/^static YYACTIONTYPE yy_reduce(/ s/sqlite3\(WindowListDelete\|WithDelete\|DeleteTriggerStep\)([^;]*;/;/

# Functions of SQL that neither the registry nor SQLite itself calls.
/^  static FuncDef aBuiltinFunc\[\] = {/,/^  };/ {
	/^    V\?FUNCTION(\(ltrim\|rtrim\|trim\|instr\|format\|unicode\|abs\|round\|hex\|unhex\|concat\|concat_ws\) *,/d
	/^    V\?FUNCTION(\(random\|randomblob\|nullif\|unistr\|unistr_quote\|changes\|total_changes\|replace\|zeroblob\) *,/d
	/^    VFUNCTION(last_insert_rowid, /d
	/^    WAGGREGATE(\(sum\|total\|avg\),/d
	/^    WAGGREGATE(\(group_concat\|string_agg\),/,/0),$/d
}
/^    STR_FUNCTION(current_/d
/^  static FuncDef aAlterTableFuncs\[\] = {/,/^  };/ {
	/(sqlite_\(rename_column\|drop_column\|rename_quotefix\|drop_constraint\|fail\|add_constraint\|find_constraint\),/d
}

# Memory that processes share: the registry is opened by one.
s/^#if !defined(SQLITE_WASI) && !defined(SQLITE_OMIT_WAL)$/#if 0/
# Ways of locking that have to be asked for by name.
/^    UNIXVFS("unix-\(none\|dotfile\|excl\)", /d
# ALTER TABLE stays without virtual tables: older registries are brought up to date with it. Whether the rows there are fit a
# new column's default and CHECK, it would ask of such a table; the columns that are added have neither.
/^    if( pNew->pCheck!=0$/,/^    }$/d
s/^#if defined(SQLITE_OMIT_VIRTUALTABLE) && !defined(SQLITE_OMIT_ALTERTABLE)$/#if 0/
