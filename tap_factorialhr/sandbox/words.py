"""Small word lists from which the company is made."""

from __future__ import annotations

FIRST_NAMES = (
    "Ada", "Alba", "Amir", "Anna", "Beatriz", "Bruno", "Carla", "Chloé", "Clara", "Daniel", "Diego", "Elena",
    "Emil", "Fátima", "Femi", "Giulia", "Hannah", "Hugo", "Inès", "Irene", "Iván", "Jana", "João", "Jonas",
    "Júlia", "Karim", "Laia", "Lena", "Léo", "Lucía", "Luís", "Marco", "Marta", "Matteo", "Mia", "Nadia",
    "Nil", "Noa", "Núria", "Olga", "Óscar", "Pau", "Petra", "Rita", "Rosa", "Samuel", "Sofia", "Tomás",
    "Yara",
)  # fmt: skip
LAST_NAMES = (
    "Almeida", "Andersson", "Bauer", "Bianchi", "Blanc", "Bosch", "Carvalho", "Costa", "Dubois", "Esposito",
    "Fernández", "Ferrari", "Fischer", "García", "Girard", "Gómez", "Haddad", "Ibáñez", "Keller", "Lambert",
    "Leroy", "López", "Martín", "Mendes", "Meyer", "Moreau", "Navarro", "Okafor", "Pereira", "Pons", "Puig",
    "Ricci", "Rojas", "Romano", "Ruiz", "Santos", "Schmidt", "Serra", "Silva", "Soler", "Torres", "Vidal",
    "Wagner",
)  # fmt: skip
CITIES = (
    "Barcelona", "Madrid", "Valencia", "Lisboa", "Porto", "Paris", "Lyon", "Berlin", "München", "Milano",
    "Roma",
)  # fmt: skip
COUNTRIES = ("es", "pt", "fr", "de", "it")
CURRENCIES = ("EUR", "EUR", "EUR", "GBP", "USD")
JOB_TITLES = (
    "Accountant", "Backend engineer", "Customer success manager", "Data analyst", "Designer",
    "Office manager",
    "People partner", "Product manager", "Recruiter", "Sales representative", "Support agent", "Team lead",
)  # fmt: skip
TEAMS = (
    "Accounting", "Brand", "Customer success", "Data", "Design", "Engineering", "Facilities", "Finance",
    "Legal", "Logistics", "Marketing", "Operations", "People", "Product", "Sales", "Support",
)  # fmt: skip
STREETS = ("Carrer de la Marina", "Gran Vía", "Rua Augusta", "Rue de la Paix", "Lindenstraße", "Via Roma")
LEAVE_TYPES = ("Holidays", "Sick leave", "Parental leave", "Moving day", "Training", "Unpaid leave", "Other")
COMPANIES = ("Norte", "Levante", "Atlântico", "Lumière", "Rhein", "Adria", "Meseta", "Ribera")
THINGS = (
    "Annual review", "Bicycle scheme", "Client visit", "Conference", "First aid", "Handbook", "Laptop",
    "Meal allowance", "New office", "Onboarding", "Quarterly report", "Safety at work", "Summer party",
    "Train ticket", "Welcome pack",
)  # fmt: skip
NOTES = (
    "To be checked with the team.", "Agreed in the last meeting.", "See the attached file.", "No remarks.",
    "Línea con acentos y «comillas».", "Two lines:\nthis is the second.",
    'He said "yes".', "Tab\there; 100 % ✓",
)  # fmt: skip
