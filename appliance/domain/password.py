"""What a password must be: long, and not among the first that anybody would try. Source: security.md 4.1."""

from __future__ import annotations

import unicodedata

from appliance.domain.refusal import invalid

SHORTEST = 12  # characters, with a second factor or without: one rule is easier to keep
LONGEST = 256

# Words that stand in the first lines of every guesser's list, and those that this place suggests. A password is
# refused where nothing but such words, digits and signs is in it: "password-2026!" is no better than "password".
_WORDS = """
password passwort passw0rd p4ssword p4ssw0rd pass passphrase contraseña contrasena clave secreto secret secreta
admin administrator administrador administracion administration root toor sysadmin superuser user usuario users
guest invitado test testing tester prueba demo example ejemplo default changeme change letmein welcome
bienvenido bienvenida hello hola login signin acceso access enter entrar open sesame please porfavor
qwerty qwertyuiop qwertz azerty asdf asdfgh asdfghjkl zxcvbn zxcvbnm qazwsx poiuytrewq abc abcd abcde abcdef
abcdefgh abcdefghijkl 1q2w3e4r5t6y 1q2w3e4r 1qaz2wsx
iloveyou teamo love amor princess princesa sunshine dragon monkey football futbol baseball master shadow batman
superman starwars pokemon computer computers ordenador internet server servidor service network windows linux
debian ubuntu microsoft google
ocs inventory ocsinventory ng appliance console consola deployment deploy despliegue package packages paquete
agent agente company empresa office oficina school escuela
january february march april may june july august september october november december spring summer autumn winter
enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre primavera verano otoño
invierno monday friday lunes viernes
"""
COMMON = frozenset(_WORDS.split())
LEAST_LETTERS = 6  # beside common words, that make a password one of its own
LEAST_SIGNS = 9  # or so many characters of any kind
LEAST_DIFFERENT = 5  # different characters


def as_kept(password: str) -> str:
    """The form in which a password is hashed: the same whichever keyboard it came from. Bounded, but not to LONGEST."""
    return unicodedata.normalize("NFC", password[: 4 * LONGEST])


def checked_password(password: str, *names: str, field: str = "password") -> str:
    """The password as it is kept (NFC). `names` are the user's: none of them is the password. Raises Refusal."""
    text = as_kept(password)
    if len(text) < SHORTEST:
        raise invalid(field, "it has fewer than {shortest} characters; a few words make a good one.", shortest=SHORTEST)
    if len(text) > LONGEST:
        raise invalid(field, "it has more than {longest} characters.", longest=LONGEST)
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in text):
        raise invalid(field, "it has control characters in it, such as a line break.")
    if len(set(text)) < LEAST_DIFFERENT or _counts(text):
        raise invalid(field, "it repeats or counts on; take a few words instead.")
    if any(_is_name(text, name) for name in names):
        raise invalid(field, "it is the user's own name; take a few words instead.")
    if _is_common(text):
        raise invalid(field, "it is made of words that everybody tries first; take others.")
    return text


def _bare(text: str) -> str:
    """Letters and digits alone, without accents."""
    return "".join(letter for letter in unicodedata.normalize("NFKD", text.casefold()) if letter.isalnum())


def _counts(text: str) -> bool:
    """Whether nearly every character is the next one, the former one or the same as the one before it."""
    steps = [abs(ord(after) - ord(before)) <= 1 for before, after in zip(text, text[1:])]
    return sum(steps) >= 0.8 * len(steps)


def _is_name(text: str, name: str) -> bool:
    """Whether a password is a name with at most a few characters more."""
    bare, name = _bare(text), _bare(name)
    return len(name) >= 3 and name in bare and len(bare.replace(name, "")) < LEAST_LETTERS


def _is_common(text: str) -> bool:
    """Whether too little is left when common words are taken out, longest first."""
    whole = text.casefold()
    rest = whole
    for word in _BY_LENGTH:
        rest = rest.replace(word, " ")
    letters = sum(letter.isalpha() for letter in rest)
    signs = sum(not letter.isspace() for letter in rest)
    return rest != whole and letters < LEAST_LETTERS and signs < LEAST_SIGNS


_BY_LENGTH = sorted((word for word in COMMON if len(word) > 2), key=lambda word: (-len(word), word))
