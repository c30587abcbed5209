-- A database as the released schema 3 wrote it: the one of schema 2, with computers that joined, a token, doubts. No keys.
BEGIN TRANSACTION;
CREATE TABLE account (
    computer_id INTEGER NOT NULL REFERENCES computer ON DELETE CASCADE,
    key         TEXT NOT NULL,
    value       TEXT NOT NULL,
    PRIMARY KEY (computer_id, key)
) WITHOUT ROWID;
INSERT INTO "account" VALUES(1,'ROOM','101');
INSERT INTO "account" VALUES(2,'ROOM','102');
CREATE TABLE activation (
    id                INTEGER PRIMARY KEY AUTOINCREMENT,
    package_id        TEXT NOT NULL REFERENCES package ON DELETE CASCADE,
    info_location     TEXT NOT NULL,
    fragment_location TEXT NOT NULL,
    activated_at      INTEGER NOT NULL,
    UNIQUE (package_id, info_location, fragment_location)
);
INSERT INTO "activation" VALUES(1,'1795259415','ocs.example.org:4343/download','ocs.example.org:8080/download',1795259415);
INSERT INTO "activation" VALUES(2,'1795259415','site.example.org:4343/download','site.example.org:8080/download',1795259415);
INSERT INTO "activation" VALUES(3,'1795259416','ocs.example.org:4343/download','ocs.example.org:8080/download',1795259415);
CREATE TABLE affectation (
    computer_id   INTEGER NOT NULL REFERENCES computer ON DELETE CASCADE,
    package_id    TEXT NOT NULL REFERENCES package ON DELETE CASCADE,
    activation_id INTEGER REFERENCES activation ON DELETE SET NULL, -- NULL: the newest activation
    stage         TEXT NOT NULL CHECK (stage IN ('waiting', 'notified', 'success', 'error', 'already')),
    received      TEXT NOT NULL DEFAULT '', -- the code as the agent sent it
    force         INTEGER NOT NULL DEFAULT 0,
    schedule      TEXT NOT NULL DEFAULT '',
    post_command  TEXT NOT NULL DEFAULT '',
    affected_at   INTEGER NOT NULL,
    notified_at   INTEGER, -- first announcement
    changed_at    INTEGER NOT NULL, group_id INTEGER REFERENCES computer_group ON DELETE SET NULL, fetched INTEGER NOT NULL DEFAULT 0, fetched_at INTEGER,
    PRIMARY KEY (computer_id, package_id)
) WITHOUT ROWID;
INSERT INTO "affectation" VALUES(1,'1795259415',1,'success','SUCCESS',0,'','',1795259415,1795259415,1795259415,NULL,0,NULL);
INSERT INTO "affectation" VALUES(1,'1795259416',NULL,'notified','',0,'','',1795259415,1795259415,1795259415,NULL,0,NULL);
INSERT INTO "affectation" VALUES(1,'1795259417',NULL,'waiting','',0,'','',1795349419,NULL,1795349419,1,0,NULL);
INSERT INTO "affectation" VALUES(2,'1795259415',1,'error','ERR_BAD_DIGEST',0,'','',1795259415,1795259415,1795259415,NULL,0,NULL);
INSERT INTO "affectation" VALUES(2,'1795259416',NULL,'error','SUCCESS_3',0,'','',1795259415,1795259415,1795259415,NULL,0,NULL);
INSERT INTO "affectation" VALUES(3,'1795259415',1,'notified','',0,'','',1795259415,1795259415,1795259415,NULL,0,NULL);
INSERT INTO "affectation" VALUES(4,'1795259415',1,'notified','',0,'','',1795259415,1795259415,1795259415,NULL,0,NULL);
INSERT INTO "affectation" VALUES(5,'1795259415',1,'waiting','',0,'','',1795259415,NULL,1795259415,NULL,0,NULL);
INSERT INTO "affectation" VALUES(5,'1795259417',NULL,'waiting','',1,'','',1795259415,NULL,1795259415,NULL,0,NULL);
CREATE TABLE affectation_count (
    package_id TEXT NOT NULL,
    stage      TEXT NOT NULL,
    received   TEXT NOT NULL,
    computers  INTEGER NOT NULL CHECK (computers >= 0),
    PRIMARY KEY (package_id, stage, received)
) WITHOUT ROWID;
INSERT INTO "affectation_count" VALUES('1795259415','error','ERR_BAD_DIGEST',1);
INSERT INTO "affectation_count" VALUES('1795259415','notified','',2);
INSERT INTO "affectation_count" VALUES('1795259415','success','SUCCESS',1);
INSERT INTO "affectation_count" VALUES('1795259415','waiting','',1);
INSERT INTO "affectation_count" VALUES('1795259416','error','SUCCESS_3',1);
INSERT INTO "affectation_count" VALUES('1795259416','notified','',1);
INSERT INTO "affectation_count" VALUES('1795259417','waiting','',2);
CREATE TABLE authority_change (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    former   TEXT NOT NULL, -- PEM; its key is gone
    crossed  TEXT NOT NULL, -- PEM: the authority after it, signed by the former one
    began_at INTEGER NOT NULL,
    ended_at INTEGER -- NULL: it is under way
);
INSERT INTO "authority_change" VALUES(1,'a former certificate','a cross certificate',1795349415,NULL);
CREATE TABLE certificate_request (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    request     TEXT NOT NULL, -- PEM
    private_key TEXT NOT NULL, -- PEM; nowhere else
    made_at     INTEGER NOT NULL
);
INSERT INTO "certificate_request" VALUES(1,'a request','no key',1795349415);
CREATE TABLE computer (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    device_id      TEXT NOT NULL UNIQUE,
    name           TEXT NOT NULL,
    tag            TEXT NOT NULL,
    user_agent     TEXT NOT NULL, -- what the computer called itself
    address        TEXT NOT NULL, -- where the last contact came from
    first_seen     INTEGER NOT NULL,
    last_contact   INTEGER NOT NULL,
    last_inventory INTEGER,
    sections       TEXT NOT NULL DEFAULT '', -- names of the sections kept, space separated
    workgroup TEXT, userdomain TEXT, osname TEXT, osversion TEXT, oscomments TEXT, userid TEXT, description TEXT,
    ipaddr TEXT, uuid TEXT, arch TEXT, processort TEXT, processorn INTEGER, processors INTEGER, memory INTEGER,
    swap INTEGER, smanufacturer TEXT, smodel TEXT, ssn TEXT, bversion TEXT
);
INSERT INTO "computer" VALUES(1,'pc-1-2026-01-31-09-30-00','PC-1','paris','OCS-NG_unified_unix_agent_v2.10.0','192.0.2.7',1795259415,1795349416,1795349416,'BIOS HARDWARE NETWORKS SOFTWARES STORAGES','','','','','','','','','uuid-1','','',NULL,NULL,NULL,NULL,'Acme','Model 7','SN0','');
INSERT INTO "computer" VALUES(2,'pc-2-2026-01-31-09-30-00','PC-2','paris','OCS-NG_unified_unix_agent_v2.10.0','192.0.2.7',1795259415,1795349417,1795349417,'BIOS HARDWARE NETWORKS SOFTWARES STORAGES','','','','','','','','','uuid-2','','',NULL,NULL,NULL,NULL,'Acme','Model 7','SN1','');
INSERT INTO "computer" VALUES(3,'pc-3-2026-01-31-09-30-00','PC-3','paris','OCS-NG_unified_unix_agent_v2.10.0','192.0.2.7',1795259415,1795349418,1795349418,'BIOS HARDWARE NETWORKS SOFTWARES STORAGES','','','','','','','','','uuid-3','','',NULL,NULL,NULL,NULL,'Acme','Model 7','SN2','');
INSERT INTO "computer" VALUES(4,'pc-4-2026-01-31-09-30-00','PC-4','lyon','OCS-NG_unified_unix_agent_v2.10.0','192.0.2.7',1795259415,1795259415,1795259415,'BIOS HARDWARE NETWORKS SOFTWARES STORAGES','EXAMPLE','','Debian GNU/Linux 12','12','','ana','','192.0.2.13','4C4C4544-0000-1000-8000-000000000003','','',NULL,NULL,8192,NULL,'Acme','Model 7','SN3','');
INSERT INTO "computer" VALUES(5,'pc-5-2026-01-31-09-30-00','PC-5','lyon','OCS-NG_WINDOWS_AGENT_v2.11.0.1','192.0.2.14',1795259415,1795259415,1795259415,'BIOS HARDWARE NETWORKS SOFTWARES STORAGES','EXAMPLE','','Microsoft Windows 11 Pro','12','','ana','','192.0.2.14','4C4C4544-0000-1000-8000-000000000004','','',NULL,NULL,10240,NULL,'Acme','Model 7','SN4','');
CREATE TABLE computer_group (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    name        TEXT NOT NULL UNIQUE COLLATE NOCASE,
    description TEXT NOT NULL DEFAULT '',
    search      TEXT, -- JSON criteria; NULL: a static group
    visible     INTEGER NOT NULL DEFAULT 0, -- users may add and remove their own computers
    created_at  INTEGER NOT NULL,
    changed_at  INTEGER NOT NULL
);
INSERT INTO "computer_group" VALUES(1,'Laptops','on the road',NULL,1,1795349418,1795349418);
INSERT INTO "computer_group" VALUES(2,'Paris','','[[{"field": "TAG", "operator": "EQUAL", "value": "paris"}]]',0,1795349418,1795349418);
CREATE TABLE credential (
    name        TEXT PRIMARY KEY CHECK (name IN ('authority', 'server')),
    certificate TEXT NOT NULL, -- PEM, leaf first
    private_key TEXT NOT NULL, -- PEM; nowhere else
    made_at     INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO "credential" VALUES('authority','a certificate','no key',1795259391);
CREATE TABLE doubt (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    kind        TEXT NOT NULL CHECK (kind IN ('rename', 'merge', 'new', 'impostor', 'clone', 'address')),
    computer_id INTEGER NOT NULL REFERENCES computer ON DELETE CASCADE, -- whose post it was, or says to be
    other_id    INTEGER REFERENCES computer ON DELETE CASCADE, -- the computer that it wants to be, too
    address     TEXT NOT NULL,
    detail      TEXT NOT NULL,
    first_at    INTEGER NOT NULL,
    last_at     INTEGER NOT NULL,
    count       INTEGER NOT NULL DEFAULT 1,
    held        INTEGER NOT NULL DEFAULT 0, -- nothing is deployed to the computer meanwhile
    decision    TEXT NOT NULL DEFAULT '' CHECK (decision IN ('', 'happened', 'accepted', 'refused')),
    decided_at  INTEGER,
    decided_by  TEXT NOT NULL DEFAULT ''
);
INSERT INTO "doubt" VALUES(1,'impostor',1,NULL,'192.0.2.66','curl/8',1795349419,1795349419,1,0,'',NULL,'');
INSERT INTO "doubt" VALUES(2,'merge',4,3,'192.0.2.13','OCS-NG_unified_unix_agent_v2.10.0',1795349419,1795349419,1,0,'refused',1795349419,'ana');
INSERT INTO "doubt" VALUES(3,'new',5,NULL,'192.0.2.14','OCS-NG_WINDOWS_AGENT_v2.11.0.1',1795349419,1795349419,1,1,'',NULL,'');
CREATE TABLE draft (
    id          TEXT PRIMARY KEY, -- random, hexadecimal; names the upload's file
    user_id     INTEGER REFERENCES user ON DELETE CASCADE,
    package_id  TEXT REFERENCES package ON DELETE CASCADE, -- the package that is edited; NULL: a new one
    form        TEXT NOT NULL, -- JSON
    file_name   TEXT NOT NULL DEFAULT '',
    size        INTEGER NOT NULL DEFAULT 0, -- bytes that the browser announced
    piece       INTEGER NOT NULL DEFAULT 0, -- bytes of the pieces that the file is kept in
    member      TEXT NOT NULL DEFAULT '', -- the file's name in the archive that the server packed it into
    created_at  INTEGER NOT NULL,
    changed_at  INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO "draft" VALUES('a33a533eceaebfbec50306a81f78f284',1,NULL,'{"name": "Half done", "os": "linux"}','',0,0,'',1795349419,1795349419);
CREATE TABLE event (
    id          INTEGER PRIMARY KEY,
    computer_id INTEGER NOT NULL REFERENCES computer ON DELETE CASCADE,
    package_id  TEXT NOT NULL, -- as it was named; may be unknown
    at          INTEGER NOT NULL,
    kind        TEXT NOT NULL, -- affected, announced, result, unaffected
    detail      TEXT NOT NULL
);
INSERT INTO "event" VALUES(1,1,'1795259415',1795259415,'affected','');
INSERT INTO "event" VALUES(2,2,'1795259415',1795259415,'affected','');
INSERT INTO "event" VALUES(3,3,'1795259415',1795259415,'affected','');
INSERT INTO "event" VALUES(4,4,'1795259415',1795259415,'affected','');
INSERT INTO "event" VALUES(5,5,'1795259415',1795259415,'affected','');
INSERT INTO "event" VALUES(6,1,'1795259416',1795259415,'affected','');
INSERT INTO "event" VALUES(7,2,'1795259416',1795259415,'affected','');
INSERT INTO "event" VALUES(8,1,'1795259415',1795259415,'announced','');
INSERT INTO "event" VALUES(9,1,'1795259416',1795259415,'announced','');
INSERT INTO "event" VALUES(10,2,'1795259415',1795259415,'announced','');
INSERT INTO "event" VALUES(11,2,'1795259416',1795259415,'announced','');
INSERT INTO "event" VALUES(12,3,'1795259415',1795259415,'announced','');
INSERT INTO "event" VALUES(13,4,'1795259415',1795259415,'announced','');
INSERT INTO "event" VALUES(14,1,'1795259415',1795259415,'result','SUCCESS');
INSERT INTO "event" VALUES(15,2,'1795259415',1795259415,'result','ERR_BAD_DIGEST');
INSERT INTO "event" VALUES(16,2,'1795259416',1795259415,'result','SUCCESS_3');
INSERT INTO "event" VALUES(17,5,'1795259417',1795259415,'affected','force');
INSERT INTO "event" VALUES(18,1,'1795259417',1795349419,'affected','group 1');
CREATE TABLE foreign_root (
    sha256      TEXT PRIMARY KEY, -- of the certificate, DER
    certificate TEXT NOT NULL, -- PEM
    added_at    INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO "foreign_root" VALUES('0000000000000000000000000000000000000000000000000000000000000005','another certificate',1795349415);
CREATE TABLE fragment (
    package_id TEXT NOT NULL REFERENCES package ON DELETE CASCADE,
    number     INTEGER NOT NULL CHECK (number >= 1),
    size       INTEGER NOT NULL CHECK (size >= 1),
    sha256     TEXT NOT NULL,
    PRIMARY KEY (package_id, number)
) WITHOUT ROWID;
INSERT INTO "fragment" VALUES('1795259415',1,200,'cae34f5e6f88867ace196e70424267deedea57b8fb8553f4ca36c500eddc4927');
INSERT INTO "fragment" VALUES('1795259415',2,200,'01fe40d58d1633a82c335de376a085f437428a55b180d90493609da9e44e6889');
INSERT INTO "fragment" VALUES('1795259415',3,60,'68e4f0ac719aa943e0eb6e60593affef7d7fd40dbb6c0a94fb77e5a3e270fff2');
INSERT INTO "fragment" VALUES('1795259417',1,460,'1a06690fefbccf79577aa992a1af98952972d7c0cc0f8fd936af5c280727b814');
CREATE TABLE group_affectation (
    group_id      INTEGER NOT NULL REFERENCES computer_group ON DELETE CASCADE,
    package_id    TEXT NOT NULL REFERENCES package ON DELETE CASCADE,
    activation_id INTEGER REFERENCES activation ON DELETE SET NULL,
    schedule      TEXT NOT NULL DEFAULT '',
    post_command  TEXT NOT NULL DEFAULT '',
    affected_at   INTEGER NOT NULL,
    PRIMARY KEY (group_id, package_id)
) WITHOUT ROWID;
INSERT INTO "group_affectation" VALUES(1,'1795259417',NULL,'','',1795349419);
CREATE TABLE group_override (
    group_id INTEGER NOT NULL REFERENCES computer_group ON DELETE CASCADE,
    name     TEXT NOT NULL,
    value    INTEGER NOT NULL,
    PRIMARY KEY (group_id, name)
) WITHOUT ROWID;
INSERT INTO "group_override" VALUES(1,'DOWNLOAD_CYCLE_LATENCY',7);
CREATE TABLE history (
    computer_id INTEGER NOT NULL REFERENCES computer ON DELETE CASCADE,
    package_id  TEXT NOT NULL, -- as reported; the package may be gone
    PRIMARY KEY (computer_id, package_id)
) WITHOUT ROWID;
INSERT INTO "history" VALUES(5,'1795259415');
CREATE TABLE installed (
    computer_id INTEGER NOT NULL REFERENCES computer ON DELETE CASCADE,
    software_id INTEGER NOT NULL REFERENCES software,
    PRIMARY KEY (computer_id, software_id)
) WITHOUT ROWID;
INSERT INTO "installed" VALUES(4,1);
INSERT INTO "installed" VALUES(5,1);
INSERT INTO "installed" VALUES(1,2);
INSERT INTO "installed" VALUES(2,2);
INSERT INTO "installed" VALUES(3,2);
INSERT INTO "installed" VALUES(4,5);
INSERT INTO "installed" VALUES(5,6);
CREATE TABLE inventory (
    computer_id INTEGER PRIMARY KEY REFERENCES computer ON DELETE CASCADE,
    received_at INTEGER NOT NULL,
    size        INTEGER NOT NULL, -- bytes of XML
    xml         BLOB NOT NULL     -- zstandard
);
INSERT INTO "inventory" VALUES(1,1795349416,588,X'28B52FFD604C01CD0B00F69549306067DB069441100441F00616D6B7F6E34932430C46ECDBDE5CFBDD3E2FA63B854A8834CB5087F1D396EC17194C19F8043F003D003A009483433F582B2FB70535DA2517B97D3AC89B6EC14DA3D328216EFA5E1D3EF9A01518012BA295493840A1245584322D0C6B1A9340A9A886CAA46099303C2870F22D2F17984CA80595D4D3170F194F6DF0326B12AD7594F0A73FE6FBF25019982A54F43492BFBC8CA081922C55854183A719FEA4C4FD3EC04D497F5912CC9802E10905630AC67ABEE72047604A08F5B8BC3C31445C4F9F95422EAAD149CFCB0196C924A9A4E76516BFE34BF82CF72E0B70C1FD9C6444484DDFABC3E7F272F44784BD30BD3A7831C44260AB2156630B80C39CD55624413FE8107CF8DB65EAF1A9DF80BCCC5AE334AC71105AFF7B03F2062228102CEB8E071048454474D614B18990468107B51F4F37067825041A0C1F89D6D6F0B948AB0CE23D15F81136CFF3B298863B64E4155F2A7508B3648455E5395712DB272731D59D3C840A36E2E3EECC');
INSERT INTO "inventory" VALUES(2,1795349417,588,X'28B52FFD604C01E50B0066164B316047D41C9441100441F0C69458B1AC59E8ED63F530C5F069B9869B6D443F50B21115E5940FD582611322FBFE75B812100141003F003B00A7480F0FEC5EADDF3BEA7970430D9E5B368993AD71A6B0298CCF99CEAE909607C00B88018A412B42018145A24C134BC42056C3100A964972B8440B984A03838507D10125D1EDF7062A15A9C104B1ECC67C8E457D7CBF1A04C618C6376547E46C86C17420BA488C491971EEF7091C240A335D1C3C58B0A35D84CEB3093419E9DCB31FEF7BB614894650ACA5588BA573ED69056494D086FB7DD430692C5B56FA3446850D9ADF0B602A116582E6F70C4E8633BEC59E9761788DB36B014C675748CBFD1E76043E66905D21DFAFA55642252CC5128A2D15C0598E72D44401BBD7CF8BB4DBFD7ED1868B3A1FEF7BC61AA7598D93C078062028102CCD6E071050444375D614D8444C33D41F4F37067CE01870645E73C3F722BD32A87BBAF09B6C1ACEAB300BEEF091A3F883D425CC9291ABCABAB902B1971C1753D2C945A0603A7C6C8019');
INSERT INTO "inventory" VALUES(3,1795349418,588,X'28B52FFD604C01E50B0066164B314067B8393BA46318866118C373B402CAA08B6DD122A56A0C5A6EE0D2D6372A0AED1E9502AF5571BB1BC9B404A2A8614C0E41003F003B00A7500E0EEC5EADDF432B7A704B0D9E5B368993AD71A6B0298CD199CEAE90963F60058480C5A0159170C04251AA89656210AC711009968A6AB84C0A980AC383C203D10125D1EDF7052A156A4125B1ECC67C8E457D7CCF9A84E3308C6FCA8EC8D9CC436560BA508C491971EEF7081A280A535D183458B0A35D94CEB3073419E9DCB31FEFFB8729A04E28185330C6D2B9163502324A68C3FD7E629834962D2B8D1AA3C226CDEF033095895249F3FB074E8633BEC59E9759788DB36B014C675748CBFD1E76043E5E905D21DF33B618B410D872A0E5B005E061CF82D62401BBD7D18BB4DBFD9ED1868B3A1FEFFBC7699E86350F82C3332028102CCD6E071050444375D614D8444C33D41F4F37067CE01870645E73C3F722BD32A87BBAF09B6C1ACEAB300BEEF091A3F883D425CC9291ABCABAB902B1971C1753D2C945A0603A7C6C8019');
INSERT INTO "inventory" VALUES(4,1795259415,1052,X'28B52FFD601C033D1100565F64335067DB1C289199999999413910CB30EE1ED3348C11BE3E3F8A4B4B8A4B4661E3BFACDDA9527EC42B7F1B6E12527DCE4C2305035B00530058008D04F6608B8C524B6718DF945D99F1FB066B2A1450D3642B9434D465228071337E0F3911855B6AF0DCB24138D91ACE143685313AD3D9F5A1E50130C3E2E144685D2C18A026892A82C2348BC5608B05AA9A2826300B9A0C820A860795462D526193E6F7084D062351493C6917A5F9FD0327C339CF333EC87EDF138AD40434536A9412071921BE7FD683396BADE54090038AA00862F76AFDFE618C0663311A098CA5738DF2BEBF5017764FF6ACDF076B39B807BCE9309FFB9E350728267791A09034196935E1E00164BFBF643253834A62D90DF34D2095F2FDC3703039BBA9A80A6026A6C8A49138F7FB451B42EAA4BCCFD90A4F3B14D652582B6AD279D286FB3D06414463D9324C67D78796FB3DEC0A7C6C915D1FBE7F9C84E5B0C761CB09D0580D07722212B07B1DBD4ABBDDF33696D770762D4E204474CF62528C72BFA72A0619EE3A6995BDA4514B3B9C63043E0A6B8CA2B6DF232C163E20200282A8C97AD4606C4232A270FD52F0CB959BDED2C24A0DF670A0A9E9034007CB9569001069D4773937469510346290B1B089D32E7E3BB01BB1F0FA80D8AC68287419CCDE4C4C2A550A7826716425DB6A73DCC6F7650C75D900FC9F867F06278196054E8F1BE922B3C60486DF921DFB42AFFA0E36A6F03A211C77057643CB983273F207648D094887FF4E36B7792C7033');
INSERT INTO "inventory" VALUES(5,1795259415,1093,X'28B52FFD6045032D120066A16A334067B8393BA4631886611833E6C1E5BF6A4CD6CB7D6C1707F1C968C768EB638742CC6C5029617086BBA709A5D40251D4208D08610058005C0050733C99B2EAEA7BC8719490CE8E50F97DA6B11CE79C4D82CC92C124CE81876C93692A5845E5F7D23359DCD58BE79E4F42CDD770BE625F514EE78B7675E87900CC9048781A574D2C10C86096AC92B93889A67089854C866D3417040E062282E10195C7B367BDA6D7A8F155F47B040773B16415439A9215FD3E8A9423A5672A2163BF6F88553D01CD5695D3F19852F27DD412DCD35A6B4F1449D1144D1153B0D6EF23A780144D012D1C4F8A7A16FC9E92A1300567D3FA7D8B0257AC729ADE7E8FD05C6B12F700481F1452DF3BA7C006A328968DE34D79651A060D18FB3D0583C1166415CF6EA010C2A8D6F791427293B613913D5C3458835E0D49F7FB767564546AC153DA0A072D29B4A6D0DAF4AA33BD3AEEF717887CD1AE0E3DF7FBD891087932BB3A7C7FF02CDAE30E1ED79E0050831EE9A918600AF604234DEDAE93905CB490206981E0120B1474DAF11ED3B3CE13D870A69E844489A4A2E62A29E77E9FC91460B82BE445F68E774DFA71968D08033F2020028220CAEAD4606B21992D1CC80C0E3CE5386D4642165809D72A484DF670A2A9F103800E962AD30040D228EE72D818A184C888C1C6C2204EABF82D81DD8085F707C4674547A1DB60E6667252AA5B4035893B37D9369BE336BE2E6358970EC01F69F8657010687DE0F4B8912E326B4C60F841B2135FE855EBC1C6105E2784E3AEC06E68199BCCBCE48F5C8777952CF1B8B9C7428902');
CREATE TABLE inventory_said (
    computer_id INTEGER NOT NULL REFERENCES computer ON DELETE CASCADE,
    value_id    INTEGER NOT NULL REFERENCES inventory_value,
    PRIMARY KEY (computer_id, value_id)
) WITHOUT ROWID;
INSERT INTO "inventory_said" VALUES(1,1);
INSERT INTO "inventory_said" VALUES(2,1);
INSERT INTO "inventory_said" VALUES(3,1);
CREATE TABLE inventory_value (
    id      INTEGER PRIMARY KEY,
    section TEXT NOT NULL,
    field   TEXT NOT NULL,
    value   TEXT NOT NULL,
    UNIQUE (section, field, value)
);
INSERT INTO "inventory_value" VALUES(1,'STORAGES','MODEL','Büro disk');
CREATE TABLE join_token (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    sha256     TEXT NOT NULL UNIQUE, -- of the secret, which was shown once
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    uses       INTEGER NOT NULL, -- that are left
    tag        TEXT NOT NULL DEFAULT '',
    group_id   INTEGER REFERENCES computer_group ON DELETE SET NULL
);
INSERT INTO "join_token" VALUES(1,'0000000000000000000000000000000000000000000000000000000000000007',1795349419,'ana',1795435819,3,'SALES',1);
CREATE TABLE known_authority (
    computer_id INTEGER PRIMARY KEY REFERENCES computer ON DELETE CASCADE,
    sha256      TEXT NOT NULL, -- of the certificate, DER
    told_at     INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO "known_authority" VALUES(1,'0000000000000000000000000000000000000000000000000000000000000006',1795349415);
CREATE TABLE log (
    id      INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    actor   TEXT NOT NULL,
    through TEXT NOT NULL,
    deed    TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail  TEXT NOT NULL, -- JSON
    chain   TEXT NOT NULL  -- SHA-256 of the former row's chain and of this row
);
INSERT INTO "log" VALUES(1,1795349418,'ana','console','group created','Laptops','{"kind": "static", "visible": "yes"}','cf0cb3182a436f30f4249d46d282e232ecc7dbde854b79dd780dc914b4b8aac3');
INSERT INTO "log" VALUES(2,1795349418,'ana','console','group created','Paris','{"kind": "dynamic", "visible": "no", "search": "[[{\"field\": \"TAG\", \"operator\": \"EQUAL\", \"value\": \"paris\"}]]"}','f804a28bdf23a3e5933c3d4b51758cc5710656fead0e0b489510b0be13b3384a');
INSERT INTO "log" VALUES(3,1795349418,'ana','console','members added','Laptops','{"count": "2", "computers": "pc-1-2026-01-31-09-30-00, pc-5-2026-01-31-09-30-00"}','aee94d834c3356e07e5fe202deaae92bfd1a917f211ba51ffe00122654113ef5');
INSERT INTO "log" VALUES(4,1795349418,'ana','console','members removed','Paris','{"count": "1", "computers": "pc-2-2026-01-31-09-30-00"}','4330a96c577913135cb56e4326c897b7dbaa437a1d7ca36bb989a995f2b53b9a');
INSERT INTO "log" VALUES(5,1795349418,'ana','console','setting changed','DOWNLOAD_CYCLE_LATENCY','{"value": "7", "group": "Laptops"}','f314c669b7fd4f03004d893269e261d732469ad84ae78089bcb694b45530832a');
INSERT INTO "log" VALUES(6,1795349419,'ana','console','package affected','1795259417','{"name": "Fonts", "count": "1", "group": "Laptops"}','2d99685b630d41610c7acdd62c7c4a2bcaac8b50f10af944e71b36c3f8c23252');
INSERT INTO "log" VALUES(7,1795349419,'ana','console','search kept','Not seen','{"search": "[[{\"field\": \"LASTCONTACT\", \"operator\": \"MORETHANXDAY\", \"value\": \"30\"}]]"}','8d4e4f5446c472475063a2f84c73998ba6e746defcc4a5509e05dd2812028392');
CREATE TABLE login_failure (
    who          TEXT PRIMARY KEY, -- 'name ana', 'address 192.0.2.7'
    failures     INTEGER NOT NULL,
    last_at      INTEGER NOT NULL,
    blocked_till INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO "login_failure" VALUES('address 192.0.2.66',30,1795349415,1795349475);
INSERT INTO "login_failure" VALUES('name eve',3,1795349415,0);
CREATE TABLE member (
    computer_id INTEGER PRIMARY KEY REFERENCES computer ON DELETE CASCADE,
    joined_at   INTEGER NOT NULL
);
INSERT INTO "member" VALUES(1,1795349419);
INSERT INTO "member" VALUES(2,1795349419);
CREATE TABLE member_certificate (
    sha256      TEXT PRIMARY KEY, -- of the certificate, DER
    computer_id INTEGER NOT NULL REFERENCES member ON DELETE CASCADE,
    serial      TEXT NOT NULL, -- hexadecimal
    issued_at   INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    used_at     INTEGER
) WITHOUT ROWID;
INSERT INTO "member_certificate" VALUES('000000000000000000000000000000000000000000000000000000000000000b',1,'1267',1795349419,1826885419,1795349419);
INSERT INTO "member_certificate" VALUES('000000000000000000000000000000000000000000000000000000000000000c',2,'24ce',1795349419,1826885419,NULL);
INSERT INTO "member_certificate" VALUES('000000000000000000000000000000000000000000000000000000000000000d',1,'beef',1795349419,1826885419,NULL);
CREATE TABLE membership (
    group_id    INTEGER NOT NULL REFERENCES computer_group ON DELETE CASCADE,
    computer_id INTEGER NOT NULL REFERENCES computer ON DELETE CASCADE,
    excluded    INTEGER NOT NULL DEFAULT 0,
    added_at    INTEGER NOT NULL,
    PRIMARY KEY (group_id, computer_id)
) WITHOUT ROWID;
INSERT INTO "membership" VALUES(1,1,0,1795349418);
INSERT INTO "membership" VALUES(1,5,0,1795349418);
INSERT INTO "membership" VALUES(2,2,1,1795349418);
CREATE TABLE network (
    computer_id INTEGER NOT NULL REFERENCES computer ON DELETE CASCADE,
    macaddr     TEXT NOT NULL, -- lower case
    ipaddress   TEXT NOT NULL,
    ipsubnet    TEXT NOT NULL
);
INSERT INTO "network" VALUES(1,'00:00:5e:00:53:00','192.0.2.10','192.0.2.0');
INSERT INTO "network" VALUES(2,'00:00:5e:00:53:01','192.0.2.11','192.0.2.0');
INSERT INTO "network" VALUES(3,'00:00:5e:00:53:02','192.0.2.12','192.0.2.0');
INSERT INTO "network" VALUES(4,'00:00:5e:00:53:03','192.0.2.13','192.0.2.0');
INSERT INTO "network" VALUES(5,'00:00:5e:00:53:04','192.0.2.14','192.0.2.0');
CREATE TABLE override (
    computer_id INTEGER NOT NULL REFERENCES computer ON DELETE CASCADE,
    name        TEXT NOT NULL,
    value       INTEGER NOT NULL,
    PRIMARY KEY (computer_id, name)
) WITHOUT ROWID;
INSERT INTO "override" VALUES(3,'DOWNLOAD',0);
CREATE TABLE package (
    id               TEXT PRIMARY KEY CHECK (length(id) = 10 AND id GLOB '[0-9]*'),
    name             TEXT NOT NULL UNIQUE,
    description      TEXT NOT NULL,
    system           TEXT NOT NULL CHECK (system IN ('WINDOWS', 'LINUX', 'MACOS')),
    protocol         TEXT NOT NULL CHECK (protocol IN ('HTTP', 'HTTPS')),
    priority         INTEGER NOT NULL CHECK (priority BETWEEN 0 AND 10),
    action           TEXT NOT NULL CHECK (action IN ('LAUNCH', 'EXECUTE', 'STORE')),
    argument         TEXT NOT NULL,
    notice_text      TEXT, -- NULL: the user is not warned
    notice_countdown INTEGER NOT NULL,
    notice_cancel    INTEGER NOT NULL,
    notice_delay     INTEGER NOT NULL,
    done_text        TEXT NOT NULL,
    size             INTEGER, -- NULL, as the next five: a command without a file
    fragment_size    INTEGER,
    fragments        INTEGER,
    md5              TEXT,
    sha256           TEXT,
    format           TEXT,
    info_sha256      TEXT NOT NULL, -- of the info file that belongs to this row
    manifest_sha256  TEXT NOT NULL, -- of its manifest, which names the info file and every fragment
    built_at         INTEGER NOT NULL,
    edited_at        INTEGER
) WITHOUT ROWID;
INSERT INTO "package" VALUES('1795259415','Media player','','LINUX','HTTP',3,'LAUNCH','setup.sh --quiet','now',60,0,1,'',460,200,3,'32696c98adae6d6a449a63d61db06644','1a06690fefbccf79577aa992a1af98952972d7c0cc0f8fd936af5c280727b814','tar.gz','fc603a120b08d641b07557677f6b595d93d0e3d239f9b9311efb978ff867cb27','305a5bcc805097affe2005d212dd24b39cf894ae74845eb43a0dee4225ec8166',1795259415,NULL);
INSERT INTO "package" VALUES('1795259416','Reboot note ñ','a ''quoted'' text','LINUX','HTTP',5,'EXECUTE','true',NULL,0,0,0,'done?',NULL,NULL,NULL,NULL,NULL,NULL,'a3f45ec343937e4f6bba3001ade12ddac6c3f4222e891299288706e54dbe6c3a','29936888abeed609a8a2f6c515b8abf255dbefed0433655d9983a9a4ec857dd5',1795259415,NULL);
INSERT INTO "package" VALUES('1795259417','Fonts','','LINUX','HTTP',5,'STORE','/opt/fonts',NULL,0,0,0,'',460,460,1,'32696c98adae6d6a449a63d61db06644','1a06690fefbccf79577aa992a1af98952972d7c0cc0f8fd936af5c280727b814','tar.gz','815c571129c746da482c551b34e33c1b76e76e661d717b07c624853abf209400','bd84ac597fe0ae470cf6b4a4757d80efac14aea8dd20914cd2065647d1e164fa',1795259415,NULL);
CREATE TABLE recovery_code (
    user_id INTEGER NOT NULL REFERENCES user ON DELETE CASCADE,
    sha256  TEXT NOT NULL,
    PRIMARY KEY (user_id, sha256)
) WITHOUT ROWID;
INSERT INTO "recovery_code" VALUES(1,'0000000000000000000000000000000000000000000000000000000000000001');
INSERT INTO "recovery_code" VALUES(1,'0000000000000000000000000000000000000000000000000000000000000002');
CREATE TABLE runtime (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
INSERT INTO "runtime" VALUES('http_port','8080');
INSERT INTO "runtime" VALUES('https_port','4343');
INSERT INTO "runtime" VALUES('server_name','ocs.example.org');
INSERT INTO "runtime" VALUES('version','0.1.0');
CREATE TABLE saved_search (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    name       TEXT NOT NULL UNIQUE COLLATE NOCASE,
    search     TEXT NOT NULL, -- JSON criteria
    created_at INTEGER NOT NULL
);
INSERT INTO "saved_search" VALUES(1,'Not seen','[[{"field": "LASTCONTACT", "operator": "MORETHANXDAY", "value": "30"}]]',1795349419);
CREATE TABLE sequence (
    name TEXT PRIMARY KEY,
    last INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO "sequence" VALUES('package',1795259417);
CREATE TABLE session (
    sha256     TEXT PRIMARY KEY, -- of the cookie's value, which is nowhere else
    user_id    INTEGER NOT NULL REFERENCES user ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    used_at    INTEGER NOT NULL,
    fresh_at   INTEGER NOT NULL, -- when the password was last given
    complete   INTEGER NOT NULL, -- 0: the second factor is still to come
    address    TEXT NOT NULL,
    user_agent TEXT NOT NULL
) WITHOUT ROWID;
INSERT INTO "session" VALUES('0000000000000000000000000000000000000000000000000000000000000003',1,1795349415,1795349415,1795349415,1,'192.0.2.9','Firefox');
CREATE TABLE setting (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
INSERT INTO "setting" VALUES('DOWNLOAD_CYCLE_LATENCY','30');
INSERT INTO "setting" VALUES('FRAGMENT_SIZE','4M');
CREATE TABLE sighting (
    computer_id INTEGER NOT NULL REFERENCES computer ON DELETE CASCADE,
    kind        TEXT NOT NULL, -- address, uuid, serial, macs
    mark        TEXT NOT NULL,
    at          INTEGER NOT NULL,
    turns       INTEGER NOT NULL, -- how often it came back after another
    newest      INTEGER NOT NULL,
    PRIMARY KEY (computer_id, kind, mark)
) WITHOUT ROWID;
INSERT INTO "sighting" VALUES(1,'address','192.0.2.7',1795349419,0,1);
INSERT INTO "sighting" VALUES(1,'uuid','uuid-1',1795349416,0,1);
INSERT INTO "sighting" VALUES(2,'uuid','uuid-2',1795349419,0,0);
INSERT INTO "sighting" VALUES(2,'uuid','uuid-3',1795349419,0,1);
INSERT INTO "sighting" VALUES(3,'uuid','uuid-3',1795349418,0,1);
CREATE TABLE software (
    id        INTEGER PRIMARY KEY,
    name      TEXT NOT NULL,
    version   TEXT NOT NULL,
    publisher TEXT NOT NULL,
    UNIQUE (name, version, publisher)
);
INSERT INTO "software" VALUES(1,'Büro','1','Acme');
INSERT INTO "software" VALUES(2,'Firefox ESR','115.0','Mozilla');
INSERT INTO "software" VALUES(3,'Firefox ESR','115.1','Mozilla');
INSERT INTO "software" VALUES(4,'Firefox ESR','115.2','Mozilla');
INSERT INTO "software" VALUES(5,'Firefox ESR','115.3','Mozilla');
INSERT INTO "software" VALUES(6,'Firefox ESR','115.4','Mozilla');
CREATE TABLE token (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id    INTEGER NOT NULL REFERENCES user ON DELETE CASCADE,
    name       TEXT NOT NULL,
    sha256     TEXT NOT NULL UNIQUE, -- of the secret, which was shown once
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at    INTEGER,
    UNIQUE (user_id, name)
);
INSERT INTO "token" VALUES(1,2,'nightly','0000000000000000000000000000000000000000000000000000000000000004',1795349415,1795435815,NULL);
CREATE TABLE user (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    name         TEXT NOT NULL UNIQUE COLLATE NOCASE,
    full_name    TEXT NOT NULL DEFAULT '',
    role         TEXT NOT NULL CHECK (role IN ('user', 'administrator')),
    password     TEXT NOT NULL, -- Argon2id, PHC string
    language     TEXT NOT NULL DEFAULT '' CHECK (language IN ('', 'en', 'es')), -- '': the browser's
    disabled     INTEGER NOT NULL DEFAULT 0,
    created_at   INTEGER NOT NULL,
    last_login   INTEGER,
    totp_secret  TEXT, -- base32; NULL: no second factor
    totp_step    INTEGER NOT NULL DEFAULT 0 -- the last one used: none is used twice
);
INSERT INTO "user" VALUES(1,'ana','Ana Pérez','administrator','$argon2id$v=19$m=65536,t=3,p=1$bm8$bm8','',0,1795349415,NULL,'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',0);
INSERT INTO "user" VALUES(2,'ben','','user','$argon2id$v=19$m=65536,t=3,p=1$bm8$bm8','es',0,1795349415,NULL,NULL,0);
CREATE TABLE user_tag (
    user_id INTEGER NOT NULL REFERENCES user ON DELETE CASCADE,
    tag     TEXT NOT NULL,
    PRIMARY KEY (user_id, tag)
) WITHOUT ROWID;
INSERT INTO "user_tag" VALUES(2,'paris');
CREATE INDEX computer_name ON computer (name);
CREATE INDEX computer_ssn ON computer (ssn) WHERE ssn IS NOT NULL AND ssn <> '';
CREATE INDEX computer_uuid ON computer (uuid) WHERE uuid IS NOT NULL AND uuid <> '';
CREATE INDEX installed_software ON installed (software_id);
CREATE INDEX network_computer ON network (computer_id);
CREATE INDEX network_macaddr ON network (macaddr);
CREATE INDEX event_computer ON event (computer_id, package_id);
CREATE INDEX session_user ON session (user_id);
CREATE INDEX log_deed ON log (deed);
CREATE TRIGGER log_never_changes BEFORE UPDATE ON log BEGIN SELECT raise(ABORT, 'the log is append only'); END;
CREATE TRIGGER log_never_shrinks BEFORE DELETE ON log BEGIN SELECT raise(ABORT, 'the log is append only'); END;
CREATE INDEX membership_computer ON membership (computer_id);
CREATE INDEX group_affectation_package ON group_affectation (package_id);
CREATE INDEX affectation_group ON affectation (group_id, package_id, stage) WHERE group_id IS NOT NULL;
CREATE INDEX affectation_package ON affectation (package_id, stage, received, changed_at);
CREATE INDEX affectation_notified ON affectation (package_id, notified_at) WHERE notified_at IS NOT NULL;
CREATE INDEX affectation_activation ON affectation (activation_id) WHERE activation_id IS NOT NULL;
CREATE TRIGGER affectation_came AFTER INSERT ON affectation BEGIN
    INSERT INTO affectation_count (package_id, stage, received, computers)
    VALUES (NEW.package_id, NEW.stage, NEW.received, 1) ON CONFLICT DO UPDATE SET computers = computers + 1;
END;
CREATE TRIGGER affectation_went AFTER DELETE ON affectation BEGIN
    UPDATE affectation_count SET computers = computers - 1
     WHERE package_id = OLD.package_id AND stage = OLD.stage AND received = OLD.received;
    DELETE FROM affectation_count
     WHERE package_id = OLD.package_id AND stage = OLD.stage AND received = OLD.received AND computers = 0;
END;
CREATE TRIGGER affectation_moved AFTER UPDATE OF package_id, stage, received ON affectation
WHEN (NEW.package_id, NEW.stage, NEW.received) <> (OLD.package_id, OLD.stage, OLD.received) BEGIN
    INSERT INTO affectation_count (package_id, stage, received, computers)
    VALUES (NEW.package_id, NEW.stage, NEW.received, 1) ON CONFLICT DO UPDATE SET computers = computers + 1;
    UPDATE affectation_count SET computers = computers - 1
     WHERE package_id = OLD.package_id AND stage = OLD.stage AND received = OLD.received;
    DELETE FROM affectation_count
     WHERE package_id = OLD.package_id AND stage = OLD.stage AND received = OLD.received AND computers = 0;
END;
CREATE INDEX inventory_said_value ON inventory_said (value_id);
CREATE TRIGGER inventory_value_unsaid AFTER DELETE ON inventory_said BEGIN
    DELETE FROM inventory_value
     WHERE id = OLD.value_id AND NOT EXISTS (SELECT 1 FROM inventory_said WHERE value_id = OLD.value_id);
END;
CREATE INDEX account_key ON account (key COLLATE NOCASE);
CREATE INDEX computer_named ON computer (name COLLATE NOCASE, id, userid, ipaddr, tag, osname);
CREATE INDEX computer_osname ON computer (osname);
CREATE INDEX computer_tag ON computer (tag);
CREATE INDEX computer_last_contact ON computer (last_contact);
CREATE UNIQUE INDEX authority_change_open ON authority_change (ended_at IS NULL) WHERE ended_at IS NULL;
CREATE INDEX member_certificate_computer ON member_certificate (computer_id);
CREATE UNIQUE INDEX doubt_open ON doubt (kind, computer_id, coalesce(other_id, 0)) WHERE decision = '';
CREATE INDEX doubt_computer ON doubt (computer_id);
CREATE INDEX doubt_other ON doubt (other_id) WHERE other_id IS NOT NULL;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('activation',3);
INSERT INTO "sqlite_sequence" VALUES('computer',5);
INSERT INTO "sqlite_sequence" VALUES('user',2);
INSERT INTO "sqlite_sequence" VALUES('token',1);
INSERT INTO "sqlite_sequence" VALUES('authority_change',1);
INSERT INTO "sqlite_sequence" VALUES('computer_group',2);
INSERT INTO "sqlite_sequence" VALUES('saved_search',1);
INSERT INTO "sqlite_sequence" VALUES('join_token',1);
INSERT INTO "sqlite_sequence" VALUES('doubt',3);
COMMIT;
PRAGMA application_id=1329812273;
PRAGMA user_version=3;
